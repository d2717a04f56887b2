"""FastOpp: a Django-like stack on FastAPI that runs unchanged locally and on hosting platforms.

The names below are the public API. Each is imported when it is first asked for, so that a program that needs one of
them does not pay for all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastopp import _moved
from fastopp._public import MODULES

if TYPE_CHECKING:
    from fastopp.cache.tags import cache_tags, invalidate_tags
    from fastopp.checks.check import Problem, check
    from fastopp.checks.context import CheckContext
    from fastopp.console.output import command
    from fastopp.core.application import FastOpp
    from fastopp.core.apps import NavItem, SeedStep, StepResult
    from fastopp.core.dependencies import (
        CacheDep,
        ClockDep,
        DatabaseDep,
        PrimarySessionDep,
        RuntimeDep,
        SessionDep,
        SettingsDep,
        StorageDep,
        TasksDep,
    )
    from fastopp.core.runtime import open_runtime
    from fastopp.core.settings_of import SettingsOf
    from fastopp.errors import BadRequest, Conflict, FastOppError, Forbidden, NotFound
    from fastopp.features.account.sections import AccountLink
    from fastopp.features.accounts.current_user import CurrentUser, Operator, OptionalUser, StaffUser, SuperUser
    from fastopp.features.accounts.models import User, utc_now
    from fastopp.features.accounts.permissions import FULL, Grant
    from fastopp.features.accounts.sign_in_page import SignInOption
    from fastopp.features.admin.views import AdminView
    from fastopp.features.alerts.rules import AlertRule, Measured
    from fastopp.features.health.probes import ProbeFailed
    from fastopp.features.leapcell.migrations import migrate_leapcell
    from fastopp.features.leapcell.storage import LeapCellStorage
    from fastopp.features.mail.service import Mail, MailDep, open_mail
    from fastopp.features.setup.seeding import run_full_init
    from fastopp.platforms.detection import PlatformDetector, detect_platform
    from fastopp.reporting import report
    from fastopp.settings import AppSettings, Settings, get_upload_dir, load_settings
    from fastopp.storage import photos
    from fastopp.storage.base import Storage
    from fastopp.storage.images import process_photo
    from fastopp.storage.photos import remove_photo, replace_photo, store_photo
    from fastopp.storage.references import uploads_under
    from fastopp.tasks.context import TaskContext
    from fastopp.tasks.errors import AlreadyQueued, Unfinished
    from fastopp.tasks.retry import Retry
    from fastopp.tasks.service import TaskService
    from fastopp.tasks.task import periodic, task
    from fastopp.web.cached import cached
    from fastopp.web.checked_form import CheckedForm, FormOf, Mistake
    from fastopp.web.conditional import ConditionalDep
    from fastopp.web.languages import Message
    from fastopp.web.templating import render

__version__ = "0.5.0"

__all__ = [
    "FULL",
    "AccountLink",
    "AdminView",
    "AlertRule",
    "AlreadyQueued",
    "AppSettings",
    "BadRequest",
    "CacheDep",
    "CheckContext",
    "CheckedForm",
    "ClockDep",
    "ConditionalDep",
    "Conflict",
    "CurrentUser",
    "DatabaseDep",
    "FastOpp",
    "FastOppError",
    "Forbidden",
    "FormOf",
    "Grant",
    "LeapCellStorage",
    "Mail",
    "MailDep",
    "Measured",
    "Message",
    "Mistake",
    "NavItem",
    "NotFound",
    "Operator",
    "OptionalUser",
    "PlatformDetector",
    "PrimarySessionDep",
    "ProbeFailed",
    "Problem",
    "Retry",
    "RuntimeDep",
    "SeedStep",
    "SessionDep",
    "Settings",
    "SettingsDep",
    "SettingsOf",
    "SignInOption",
    "StaffUser",
    "StepResult",
    "Storage",
    "StorageDep",
    "SuperUser",
    "TaskContext",
    "TaskService",
    "TasksDep",
    "Unfinished",
    "User",
    "__version__",
    "cache_tags",
    "cached",
    "check",
    "command",
    "detect_platform",
    "get_upload_dir",
    "invalidate_tags",
    "load_settings",
    "migrate_leapcell",
    "open_mail",
    "open_runtime",
    "periodic",
    "photos",
    "process_photo",
    "remove_photo",
    "render",
    "replace_photo",
    "report",
    "run_full_init",
    "store_photo",
    "task",
    "uploads_under",
    "utc_now",
]

_moved.install()


def __getattr__(name: str) -> Any:  # noqa: ANN401 - a module's attributes
    if module := MODULES.get(name):
        # Also where the name is a module itself.
        return getattr(__import__(module, fromlist=[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
