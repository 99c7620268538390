from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.async_api import Page, Response, expect

from tests.demo import Demo

# Seconds until a page on a busy machine has surely drawn what it was given.
WAIT = 30
expect.set_options(timeout=WAIT * 1000)


async def run(page: Page) -> dict[str, Any]:
    """Press ▶; what came back, once it is shown."""
    async with page.expect_response(_answers_a_tab) as coming:
        await page.get_by_role("button", name="Execute query").click()
    response = await coming.value
    told: dict[str, Any] = await response.json()
    shown = page.locator(".graphiql-response .view-lines")
    await expect(shown).to_contain_text('{ "data": { "' + next(iter(told["data"])))
    return told


async def variables(page: Page, key: str, value: object) -> dict[str, Any]:
    """The input that the page has filled in, once its `key` is this."""
    editor = page.locator(".graphiql-editor-tool .graphiql-editor:visible .view-lines")
    async with asyncio.timeout(WAIT):
        while True:
            # Half drawn, or still what was there before.
            with suppress(json.JSONDecodeError, KeyError):
                text = (await editor.inner_text()).replace("\xa0", " ")
                told: dict[str, Any] = json.loads(text)["input"]
                if told.get(key) == value:
                    return told
            await asyncio.sleep(0.05)


def _answers_a_tab(response: Response) -> bool:
    """Not the page's own introspection, which it may repeat at any time."""
    asked = response.request.post_data or ""
    return bool(asked) and "IntrospectionQuery" not in asked


async def open_graphiql(page: Page, demo: Demo) -> None:
    await page.goto(f"{demo.url}/graphql")
    await page.get_by_role("button", name="Execute query").wait_for()
    # The editor knows the schema once it can complete a field's name.
    await page.get_by_text("startWecomMobileLogin").first.wait_for()


async def approve(page: Page, shots: Path, who: str = "张三 (zhangsan)") -> str:
    """Follow the link to the phone, and approve as its member does."""
    async with page.context.expect_page() as opening:
        await page.locator("#phone").click()
    phone = await opening.value
    await phone.locator("#person option").first.wait_for(state="attached")
    await phone.locator("#person").select_option(label=who)
    await phone.locator("#approve").click()
    await phone.locator("#answer").wait_for()
    await phone.screenshot(path=shots / "3-phone.png")
    code = await phone.locator("#code").input_value()
    await phone.close()
    return code


async def test_a_first_login_in_the_browser(
    page: Page, demo: Demo, shots: Path
) -> None:
    asked: set[str | None] = set()
    page.context.on("request", lambda one: asked.add(urlsplit(one.url).hostname))
    async with page.expect_response(f"{demo.url}/graphql") as introspecting:
        await open_graphiql(page, demo)
    assert (await introspecting.value).status == 200
    await page.screenshot(path=shots / "1-opened.png")

    started = await run(page)
    assert started["data"]["startWecomMobileLogin"]["state"]
    await page.screenshot(path=shots / "2-started.png")

    code = await approve(page, shots)
    await page.locator("#code").fill(code)
    filled = await variables(page, "code", code)
    assert filled["state"] == started["data"]["startWecomMobileLogin"]["state"]
    await page.screenshot(path=shots / "4-filled.png")

    logged_in = (await run(page))["data"]["wecomMobileLogin"]
    assert logged_in["__typename"] == "LoginSuccess"
    token = logged_in["tokens"]["accessToken"]
    await expect(page.locator("#token")).to_have_value(token)
    await page.screenshot(path=shots / "5-logged-in.png")

    await page.get_by_role("button", name="Me", exact=True).first.click()
    me = await run(page)
    assert me["data"]["me"]["id"] == logged_in["user"]["id"]
    await page.screenshot(path=shots / "6-me.png")
    assert asked <= {"localhost", "", None}


async def test_an_account_is_bound_in_the_browser(
    page: Page, demo: Demo, shots: Path
) -> None:
    await open_graphiql(page, demo)
    await page.get_by_label("Source").select_option("wecom-bind")
    await run(page)
    code = await approve(page, shots, "李四 (LiSi)")
    await page.locator("#code").fill(code)
    required = (await run(page))["data"]["wecomMobileLogin"]
    assert required["__typename"] == "BindingRequired"

    await page.get_by_role("button", name="BindExistingAccount").first.click()
    await variables(page, "ticket", required["ticket"])
    bound = (await run(page))["data"]["bindExistingAccount"]
    assert bound["resolution"] == "BOUND"
    await page.screenshot(path=shots / "7-bound.png")

    await page.get_by_role("button", name="SignOut", exact=True).first.click()
    token = bound["tokens"]["refreshToken"]
    assert await variables(page, "refreshToken", token) == {"refreshToken": token}
    await run(page)
    await expect(page.locator("#token")).to_have_value("")


async def test_the_owner_administers_in_the_browser(
    page: Page, demo: Demo, shots: Path
) -> None:
    await open_graphiql(page, demo)
    await page.locator("#token").fill(demo.owner_key)
    await page.get_by_role("button", name="CreateApp", exact=True).first.click()
    assert await variables(page, "name", "") == {"name": ""}
    created = (await run(page))["data"]["createApp"]
    assert [error["path"] for error in created["errors"]] == [["input", "name"]]
    await page.screenshot(path=shots / "8-form-errors.png")


async def test_nothing_typed_outlives_the_page(page: Page, demo: Demo) -> None:
    await open_graphiql(page, demo)
    await page.locator("#token").fill(demo.owner_key)
    await run(page)
    await page.wait_for_timeout(1000)
    kept = await page.evaluate("JSON.stringify(localStorage)")
    assert demo.owner_key not in kept
    assert "input" not in kept
