"""The whole story, in the emulator: a clean checkout is built, set up without a shell, used, backed up, lost, restored
and deployed anew. Then the same checkout, untouched, as Fly.io runs it and on somebody's own machine.
"""

from __future__ import annotations

import asyncio
import dataclasses
import re
import subprocess
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import pytest
from markdown_it import MarkdownIt
from PIL import Image
from playwright.async_api import FilePayload, Page, async_playwright, expect

from fastopp.console.main_file import add_apps
from leapcell_emulator.emulator import Emulator
from leapcell_emulator.emulator_options import EmulatorOptions
from leapcell_emulator.parts import make_services
from leapcell_emulator.rules import Rules
from tests.gate import only_full
from tests.services.browser import ARGUMENTS
from tests.services.libraries import installed_libraries
from tests.services.site import ROOT, SECRET_KEY, Site, succeed
from tests.services.task_app import write_app

GUIDE = ROOT / "docs/deploy/leapcell.md"
OPS_TOKEN = "t0ken-of-this-story-0123456789-abcdefghijklmnop"
OWNER = "owner@example.com"
VARIABLES = {
    "FASTOPP_PLATFORM": "leapcell",
    "SECRET_KEY": SECRET_KEY,
    "OPS_TOKEN": OPS_TOKEN,
    "SUPERUSER_EMAIL": OWNER,
}
PUBLIC = "https://your-app.leapcell.dev"  # as the guide writes it
PATIENCE = 60  # seconds for any one step, on a busy machine

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone of this repository with one app more, which has tasks that take their time."""
    folder = tmp_path_factory.mktemp("story") / "project"
    git = ["git", "-c", f"safe.directory={ROOT}", "-c", f"safe.directory={ROOT}/.git"]
    subprocess.run([*git, "clone", "--quiet", "--no-hardlinks", str(ROOT), str(folder)], check=True)
    write_app(folder)
    add_apps(folder / "main.py", ["chores"])
    somebody = ["-c", "user.name=Somebody", "-c", "user.email=somebody@example.com"]
    subprocess.run([*git, "-C", str(folder), "add", "--all"], check=True)
    subprocess.run([*git, *somebody, "-C", str(folder), "commit", "--quiet", "-m", "An app of ours"], check=True)
    return folder


@pytest.fixture(scope="module")
def photo() -> bytes:
    data = BytesIO()
    Image.new("RGB", (320, 240), "#2563eb").save(data, "JPEG")
    return data.getvalue()


class Story:
    """An emulator with its callers: somebody with the operations token, and a browser."""

    def __init__(self, emulator: Emulator, operator: httpx.AsyncClient, page: Page) -> None:
        self.emulator = emulator
        self.operator = operator
        self.page = page

    @property
    def queue(self) -> dict[str, Any]:
        """What the Async queue says."""
        return dict(self.emulator.state()["services"]["async_queue"])

    @property
    def instances(self) -> list[dict[str, Any]]:
        """Those that take requests."""
        return [each for each in self.emulator.state()["instances"] if not each["ended"]]

    async def post(self, path: str, **options: Any) -> dict[str, Any]:
        """Call an operation until it is done, as the guide says; its answer."""
        async with asyncio.timeout(PATIENCE):
            while (answer := await self.operator.post(path, **options)).status_code == 503:  # noqa: ASYNC110 - it says
                await asyncio.sleep(float(answer.headers["Retry-After"]))
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def served_by(self, path: str) -> str:
        """Ask for something that must be there; the instance that answered."""
        answer = await self.operator.get(path)
        assert answer.status_code == 200, answer.text
        return str(self.emulator.state()["requests"][-1]["instance"])


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - what it waits for has no event
            await asyncio.sleep(0.05)


@pytest.fixture(params=["installed", *only_full("index")])
def libraries(request: pytest.FixtureRequest) -> Iterator[dict[str, str]]:
    """Variables for the build: whether pip finds the libraries installed, or downloads them from the index."""
    if request.param == "index":
        yield {}
        return
    with installed_libraries() as variables:
        yield variables


async def test_the_story(checkout: Path, photo: bytes, chromium_path: str, libraries: dict[str, str]) -> None:
    lines: list[str] = []
    options = EmulatorOptions(
        folder=checkout,
        port=0,
        async_port=0,
        variables=VARIABLES | libraries,
        shown=tuple(map(Path, filter(None, [libraries.get("PYTHONPATH")]))),
        rules=Rules.from_options(options={"deployment_overlap": 1.0}),
    )
    emulator = Emulator(
        options,
        services=make_services(database=True, object_storage=True, cron=None),
        on_line=lambda name, line: lines.append(f"{name} | {line}"),
    )
    try:
        async with (
            emulator,
            httpx.AsyncClient(
                base_url=emulator.url, headers={"Authorization": f"Bearer {OPS_TOKEN}"}, timeout=PATIENCE
            ) as operator,
            async_playwright() as playwright,
            await playwright.chromium.launch(executable_path=chromium_path, args=ARGUMENTS) as browser,
        ):
            page = await browser.new_page(base_url=emulator.url)
            page.set_default_timeout(PATIENCE * 1000)
            story = Story(emulator, operator, page)
            password = await set_up(story)
            await sign_in(story, password)
            key = await upload(story, photo)
            await backup_lose_everything_restore(story, key)
            await task_from_the_page(story)
            await deploy_in_the_middle(story)
            await usage_examples(story)
            complaints = [event.message for event in emulator.journal.events if event.level == "error"]
            assert complaints == []
    except Exception as error:
        error.add_note("\n".join(lines[-60:]))
        raise


async def set_up(story: Story) -> str:
    """Health, tables, first superuser and sample data, by HTTP alone; the superuser's password."""
    assert (await story.operator.get("/kaithhealth")).status_code == 200
    assert (await story.operator.get("/health")).status_code == 503  # there are no tables yet
    assert (await story.post("/async/migrate"))["status"] == "success"
    answer = await story.post("/async/init-demo")
    again = await story.post("/async/init-demo")
    assert "superuser_password" not in again["details"]  # told once
    health = await story.operator.get("/health")
    assert (health.status_code, health.json()["platform"]) == (200, "leapcell")
    stranger = await story.operator.post("/async/init-demo", headers={"Authorization": ""})
    assert stranger.status_code == 401
    return str(answer["details"]["superuser_password"])


async def sign_in(story: Story, password: str) -> None:
    await story.page.goto("/login?next=/webinar-registrants")
    await story.page.get_by_label("Email").fill(OWNER)
    await story.page.get_by_label("Password").fill(password)
    await story.page.get_by_role("button", name="Sign in").click()
    await story.page.wait_for_url("**/webinar-registrants")


async def upload(story: Story, photo: bytes) -> str:
    """Give a registrant a photo and see it on the page, which names its address at the CDN. Its key."""
    page = story.page
    row = page.locator("#registrants li[id^=registrant-]").filter(has_text="@").first
    before = await row.locator("img").get_attribute("src") if await row.locator("img").count() else ""
    await row.locator("summary").click()
    await row.get_by_role("button", name="photo").first.click()
    file: FilePayload = {"name": "me.jpg", "mimeType": "image/jpeg", "buffer": photo}
    await page.get_by_role("dialog").locator("input[type=file]").set_input_files(file)
    await page.get_by_role("button", name="Save photo").click()
    await expect(page.get_by_role("region", name="Messages")).to_contain_text("successfully")
    image = row.locator("img")
    await expect(image).not_to_have_attribute("src", before or "")
    assert await image.evaluate("i => i.decode().then(() => i.naturalWidth)") > 0
    address = await image.get_attribute("src")
    found = re.search(r"photos/[0-9a-f]{32}\.\w+", address or "")
    assert found, address
    assert address
    assert address.startswith(story.emulator.variables["S3_CDN_URL"])
    return found[0]


async def backup_lose_everything_restore(story: Story, key: str) -> None:
    """A photo outlives every instance and every /tmp."""
    path = f"/static/uploads/{key}"
    content = (await story.operator.get(path)).content
    assert len({await story.served_by(path) for _ in range(4)}) == 2  # the other instance never had it
    assert (await story.operator.post("/admin/backup-files")).json()["status"] == "success"
    await story.emulator.act("wipe", story.instances[0]["name"])
    assert len({await story.served_by(path) for _ in range(2)}) == 2
    before = [each["name"] for each in story.instances]
    for name in before:
        await story.emulator.act("kill", name)
    assert await story.served_by(path) not in before
    for _ in range(2):  # each instance fills a cache of its own
        assert (await story.operator.post("/admin/restore-files")).json()["status"] == "success"
    assert [(await story.operator.get(path)).content for _ in range(2)] == [content, content]
    await story.page.goto("/oppman/")
    await story.page.locator('form[action="/oppman/files/verify"] button').click()
    messages = story.page.get_by_text(
        re.compile(r"The Object Storage has \d+ files: \d+ with the same .* 0 not cached\.")
    )
    await expect(messages.first).to_be_visible()
    shown = await story.page.request.get("/webinar-registrants")  # the session holds, too
    photos = set(re.findall(r"photos/[0-9a-f]{32}\.\w+", await shown.text()))
    assert len(photos) >= 5
    assert {(await story.operator.get(f"/static/uploads/{each}")).status_code for each in photos} == {200}


async def task_from_the_page(story: Story) -> None:
    """Nothing asks the application for anything, yet the task ends: the queue wakes it."""
    await story.page.goto("/webinar-registrants")
    delivered = story.queue["delivered"]
    await story.page.get_by_role("button", name="Check photos").click()
    await story.page.wait_for_load_state("networkidle")
    await story.page.goto("about:blank")
    await until(lambda: story.queue["delivered"] > delivered and not story.queue["running"])
    await until(
        lambda: all(each["state"] == "frozen" for each in story.emulator.state()["instances"] if not each["ended"])
    )
    task = await latest(story, "check_photos")
    assert task["status"] == "succeeded", task


async def latest(story: Story, name: str) -> dict[str, Any]:
    tasks = (await story.operator.get("/async/tasks")).json()["tasks"]
    return next(dict(task) for task in tasks if name in task["name"])


async def deploy_in_the_middle(story: Story) -> None:
    """Requests and a task go on while a new deployment takes over. The second build would show nothing new."""
    story.emulator.options = dataclasses.replace(story.emulator.options, build=False)
    answers: list[int] = []
    done = asyncio.Event()

    async def visit() -> None:
        async with httpx.AsyncClient(base_url=story.emulator.url, timeout=PATIENCE) as visitor:
            while not done.is_set() or len(answers) < 10:
                answers.append((await visitor.get("/webinar-demo")).status_code)
                stream = await visitor.post("/api/chat/stream", json={"message": "Hello"})
                answers.append(stream.status_code)

    visitors = [asyncio.create_task(visit()) for _ in range(2)]
    await story.operator.post("/async/patient?enqueue=1")
    await until(lambda: story.queue["running"])
    await story.emulator.act("deploy")
    assert story.queue["running"], "The task was over before the deployment: this shows nothing."
    await story.operator.post("/async/add?enqueue=1")
    await until(lambda: story.emulator.journal.fired.get("deployment_overlap"))
    done.set()
    await asyncio.gather(*visitors)
    assert set(answers) == {200}
    assert {each["deployment"] for each in story.instances} == {2}
    await until(lambda: not story.queue["waiting"] and not story.queue["running"])
    task = await latest(story, "patient")
    assert (task["status"], task["attempts"]) == ("succeeded", 1)


async def usage_examples(story: Story) -> None:
    """The guide's own lines, with the address and the token filled in."""
    lines = examples()
    assert len(lines) >= 8
    for line in lines:
        process = await asyncio.create_subprocess_shell(
            line.replace("https://your-app.leapcell.dev", story.emulator.url).replace(
                "curl ", "curl --fail-with-body -sS ", 1
            ),
            env={"OPS_TOKEN": OPS_TOKEN, "PATH": "/usr/bin:/bin"},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await process.communicate()
        assert process.returncode == 0, f"{line}\n{output.decode()}"


def examples() -> list[str]:
    """The `curl` lines of the guide's usage examples."""
    tokens = MarkdownIt().parse(GUIDE.read_text(encoding="utf-8"))
    start = next(n for n, token in enumerate(tokens) if token.type == "inline" and token.content == "Usage examples")
    block = next(token for token in tokens[start:] if token.type == "fence")
    return [line for line in block.content.splitlines() if line.startswith("curl")]


FLY = {"FLY_APP_NAME": "story", "SECRET_KEY": SECRET_KEY, "OPS_TOKEN": OPS_TOKEN, "SUPERUSER_PASSWORD": "a-Long-one-1"}


@pytest.mark.parametrize(("platform", "variables"), [("local", {}), ("fly", FLY)])
def test_the_same_project_elsewhere(checkout: Path, tmp_path: Path, platform: str, variables: dict[str, str]) -> None:
    """One checkout; only the environment differs."""
    environ = {
        "DATABASE_URL": f"sqlite:///{tmp_path}/app.db",
        "UPLOAD_DIR": str(tmp_path / "uploads"),
        "PYTHONPATH": str(checkout / "src"),
        **variables,
    }
    succeed(checkout, "oppdemo.py", "init", environ=environ)
    with Site(checkout, environ, name=platform) as site, site.client() as client:
        health = client.get("/health").json()
        assert (health["status"], health["platform"]) == ("healthy", platform)
        photo = re.search(r"/static/uploads/photos/[\w.]+", client.get("/webinar-demo").text)
        assert photo
        assert client.get(photo[0]).status_code == 200
    status = ["git", "-c", "safe.directory=*", "status", "--porcelain"]
    assert subprocess.run(status, cwd=checkout, capture_output=True, text=True, check=True).stdout == ""
