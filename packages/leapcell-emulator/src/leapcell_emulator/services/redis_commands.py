"""The commands that LeapCell's Redis takes.

Its page has a table by data structure, https://docs.leapcell.io/redis, and claims publish and subscribe, and
transactions, without naming commands. What is there for neither is refused: scripts, blocking pops, streams, SCAN,
MGET and MSET, and so most queues that are built on Redis.
"""

from __future__ import annotations

from typing import Final

# The table, complete. Redis itself has no RPOPCOUNT.
_LISTED: Final = """
append decr decrby get getex getrange getset incr incrby incrbyfloat set setex setnx setrange strlen
bitcount bitpos getbit setbit bitop
hdel hexists hget hgetall hincrby hincrbyfloat hkeys hlen hmget hmset hset hsetnx hvals
lindex linsert llen lpop lpush lpushx lrange lrem lset ltrim rpop rpush rpopcount rpushx lpos rpoplpush
sadd scard sismember smembers srem spop srandmember sinter sinterstore sunion sunionstore sdiff sdiffstore smismember
smove
zadd zcard zcount zincrby zrange zrangebyscore zrank zrem zremrangebyrank zremrangebyscore zrevrange zrevrangebyscore
zrevrank zscore zlexcount zrangebylex zremrangebylex zpopmax zpopmin zrandmember zunion zunionstore zinterstore zinter
zdiff zdiffstore
"""
# Claimed in words.
_CLAIMED: Final = "multi exec discard watch unwatch publish subscribe unsubscribe psubscribe punsubscribe pubsub"
# Inferred: a Redis without them is hard to imagine, and the table is of data structures.
_KEYS: Final = "del exists expire keys ttl type"
# Inferred: what clients send when they connect, look whether they still are, and leave.
_CONNECTION: Final = "auth hello ping echo quit select reset client command info"

COMMANDS: Final = frozenset(f"{_LISTED} {_CLAIMED} {_KEYS} {_CONNECTION}".split())
"""In lower case."""
