"""The layout of generated migrations."""

from __future__ import annotations

import ast

from fastopp.database.migrations.generated_code import indent_brackets

GENERATED = """def upgrade():
    op.create_table('a(',
    sa.Column('id', sa.Enum('x',
    'y')),
    sa.Column('b', server_default=sa.text('''one
  two''')),
    # a comment
    )
    with op.batch_alter_table('b') as batch:
        batch.add_column(
        sa.Column('c'))

    # the end
"""

EXPECTED = """def upgrade():
    op.create_table('a(',
        sa.Column('id', sa.Enum('x',
                'y')),
        sa.Column('b', server_default=sa.text('''one
  two''')),
        # a comment
    )
    with op.batch_alter_table('b') as batch:
        batch.add_column(
            sa.Column('c'))

    # the end
"""


def test_lines_in_brackets_are_indented_and_mean_the_same():
    assert indent_brackets(GENERATED) == EXPECTED
    assert ast.dump(ast.parse(EXPECTED)) == ast.dump(ast.parse(GENERATED))


def test_it_changes_nothing_a_second_time():
    assert indent_brackets(EXPECTED) == EXPECTED
