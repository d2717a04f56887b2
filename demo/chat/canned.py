"""Answers for a server without a key, so that the page works on a train. They are looked up, and say so."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator

MODEL = "canned"
PAUSE = 0.02  # seconds between two words

NOTE = "\n\n*A canned answer: this server has no `OPENROUTER_API_KEY`, so no model was asked.*"

GREETING = """Hello! I am a **canned assistant**: a handful of prepared answers that arrive word by word, the way a \
model's would. Ask me about

- **deploying** a project
- the **database**
- how this **chat** works
- **markdown**, to see what answers may look like"""

DEPLOYING = """The project that runs on your machine runs unchanged elsewhere:

1. Push it to a repository.
2. Connect the repository to LeapCell, or run `fly launch`.
3. Set what the platform cannot know:

```sh
DATABASE_URL=postgresql://…   # from the platform's dashboard
SECRET_KEY=…                  # openssl rand -hex 32
```

Everything else has a default that fits the platform."""

DATABASE = """| | your machine | a serverless platform |
|---|---|---|
| database | SQLite, a file | PostgreSQL over TLS |
| set up with | nothing | `DATABASE_URL` |

Handlers ask for a session, and never learn which one it is:

```python
@router.get("/count")
async def count(session: SessionDep) -> int:
    return (await session.exec(select(func.count(Product.id)))).one()
```"""

CHAT = """Your question goes to `POST /api/chat/stream`. The answer comes back as **server-sent events**:

1. `message`, again and again, with the answer so far
2. `complete`, or `error` with a reason

With `OPENROUTER_API_KEY` set, the same page asks a real model. It then wants you to sign in, since every answer costs \
the owner of the key something."""

MARKDOWN = """## Headings, *emphasis* and ~~mistakes~~

> A quotation stands apart.

1. Numbered lists
   - with lists inside
2. [Links](https://commonmark.org) that open elsewhere

| Left | Right |
|:--|--:|
| tables | 42 |

```python
print("code keeps its spaces")
```

HTML such as <b>this</b> stays text: an answer is never trusted."""

TOPICS = (
    (re.compile(r"deploy|leapcell|\bfly|\bhost|online", re.IGNORECASE), DEPLOYING),
    (re.compile(r"database|sql|postgres|query|table", re.IGNORECASE), DATABASE),
    (re.compile(r"markdown|format|code|list", re.IGNORECASE), MARKDOWN),
    (re.compile(r"chat|stream|answer|model|\bwork", re.IGNORECASE), CHAT),
)

_WORDS = re.compile(r"\S+\s*|\s+")


def find_answer(question: str) -> str:
    """The prepared answer that fits best, as markdown; a greeting if none does."""
    return next((answer for topic, answer in TOPICS if topic.search(question)), GREETING) + NOTE


async def stream_answer(question: str, *, pause: float = PAUSE) -> AsyncGenerator[str]:
    """The answer in words, with `pause` seconds after each."""
    for word in _WORDS.findall(find_answer(question)):
        yield word
        await asyncio.sleep(pause)
