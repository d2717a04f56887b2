"""The admin views."""

from __future__ import annotations

import ast
import dataclasses

from fastopp.cli.adopt.edits import Source
from fastopp.cli.adopt.models import Tables
from fastopp.cli.adopt.old_project import Module, OldProject
from fastopp.cli.adopt.python import Rewriter
from fastopp.cli.adopt.reach import Kept
from fastopp.cli.adopt.report import Report

ACTIONS = ("create", "edit", "delete")
USERS = "User"

_USER_ADMIN = """\
from fastopp.features.admin.user_admin import UserAdmin as AccountAdmin
"""


def is_admin_module(name: str) -> bool:
    """Return whether a module holds admin views."""
    return name.startswith("admin.") or name == "admin"


def write_admin(project: OldProject, kept: Kept, tables: Tables, rewriter: Rewriter, report: Report) -> str:
    """Return the text of the app's admin.py: the views of all modules of the old `admin` folder. Empty without any."""
    texts = []
    for name in sorted(filter(is_admin_module, kept)):
        module = project.modules[name]
        texts.append(rewriter.rewrite(_with_rights(module, kept[name], tables, report), kept[name]))
    columns = tables.columns.get(USERS, [])
    own_users = any(f"({'AccountAdmin'}," in text for text in texts)
    if columns and not own_users:
        texts.append(
            f'class OwnUserAdmin(AccountAdmin, model=User):\n    name = "User"\n{_user_columns(columns, lists=True)}'
        )
    if not texts:
        return ""
    needs_users = any("AccountAdmin" in text for text in texts)
    models = f"from {rewriter.app}.models import User\n" if columns and not own_users else ""
    heading = f'"""The admin views of the project."""\n\n{_USER_ADMIN + models if needs_users else ""}'
    granting = "from fastopp import Grant\n" if any("Grant.of(" in text for text in texts) else ""
    return heading + granting + "\n" + "\n\n".join(texts)


def _with_rights(module: Module, kept: set[int], tables: Tables, report: Report) -> Module:
    """Return the module with `rights` in its views, which grant what staff could do; `is_accessible` limits it."""
    source = Source(module.source.text)
    for index in sorted(kept):
        node = source.tree.body[index]
        if not isinstance(node, ast.ClassDef) or (model := _model(node)) is None:
            continue
        body = _body_begin(source, node)
        if model == USERS:
            for base in node.bases:
                source.replace(base, "AccountAdmin")
            if "hashed_password" in source.of(node):
                report.left(
                    module.path,
                    node.lineno,
                    f"{node.name} names `hashed_password`: take it out, so that no page shows it.",
                )
            columns = tables.columns.get(USERS, [])
            source.insert(body, _user_columns(columns, lists=False).lstrip() + "    " if columns else "")
            continue
        if model in tables.frameworks:
            report.left(
                module.path,
                node.lineno,
                f"{node.name} was changed. The demo has a view of `{model}`: change that, and remove this one.",
            )
        rights = _rights(module, node, report)
        source.insert(body, f'rights = {{"staff": Grant.of({rights})}}\n    ')
    return dataclasses.replace(module, source=Source(source.result()))


def _body_begin(source: Source, node: ast.ClassDef) -> int:
    """Return the byte at which a class's first statement begins, after its docstring if more follows."""
    docstring = (
        isinstance(node.body[0], ast.Expr) and isinstance(node.body[0].value, ast.Constant) and len(node.body) > 1
    )
    first = node.body[1 if docstring else 0]
    decorators = getattr(first, "decorator_list", [])
    return source.span(decorators[0])[0] - 1 if decorators else source.span(first)[0]


def _model(node: ast.ClassDef) -> str | None:
    return next((ast.unparse(each.value).rpartition(".")[2] for each in node.keywords if each.arg == "model"), None)


def _rights(module: Module, node: ast.ClassDef, report: Report) -> str:
    granted = ["view", *ACTIONS]
    for each in node.body:
        if isinstance(each, ast.Assign) and isinstance(each.value, ast.Constant) and each.value.value is False:
            off = {target.id for target in each.targets if isinstance(target, ast.Name)}
            granted = [action for action in granted if f"can_{action}" not in off]
        elif isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef) and each.name.removeprefix("can_") in ACTIONS:
            action = each.name.removeprefix("can_")
            granted.remove(action)
            text = f"`{each.name}` of {node.name} is a method, which SQLAdmin ignores: only superusers may {action}."
            report.left(module.path, each.lineno, f"{text} Grant it in `rights` if staff may too.")
    return ", ".join(f'"{action}"' for action in granted)


def _user_columns(columns: list[str], *, lists: bool) -> str:
    names = ", ".join(f'"{name}"' for name in columns)
    shown = f"    column_list = (*AccountAdmin.column_list, {names})\n" if lists else ""
    return shown + (
        f"    form_columns = (*AccountAdmin.form_columns, {names})\n"
        f"    form_create_rules = [*AccountAdmin.form_create_rules, {names}]\n"
        f"    form_edit_rules = [*AccountAdmin.form_edit_rules, {names}]\n"
    )
