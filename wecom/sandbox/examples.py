"""Two corps to try things on. The secrets are examples, and open nothing anywhere."""

from __future__ import annotations

from wecom.agent import Agent
from wecom.sandbox.world import App, Corp, Person

HEFU = "ww1e933be11645237c"
NORTHWIND = "ww7f3a0c5d9e2b4816"

PRIVATE = App(
    Agent(HEFU, "1000012", "sandbox-secret-of-1000012-tells-neither-mail"),
    schema="wwauth1e933be11645237c000012",
    name="禾府登录",
)
"""Made since June 2022: tells neither e-mail nor mobile."""

OLD = App(
    Agent(HEFU, "1000003", "sandbox-secret-of-1000003-tells-email-and-mobi"),
    schema="wwauth1e933be11645237c000003",
    name="通讯录 Classic",
    tells_contacts=True,
)
"""Older than that: tells e-mail, mobile and avatar."""

ELSEWHERE = App(
    Agent(NORTHWIND, "1000002", "sandbox-secret-of-1000002-northwind-traders"),
    schema="wwauth7f3a0c5d9e2b4816000002",
    name="Northwind Login",
)
"""Another corp's, where `zhangsan` is somebody else."""

AGENT = PRIVATE.agent
OLD_AGENT = OLD.agent
OTHER_CORP_AGENT = ELSEWHERE.agent


def corps() -> list[Corp]:
    """Made anew at each call, as a sandbox changes them."""
    return [
        Corp(
            HEFU,
            "禾府科技",
            apps=[PRIVATE, OLD],
            people=[
                Person(
                    "zhangsan",
                    "张三",
                    position="工程师",
                    email="zhangsan@example.com",
                    biz_mail="zhangsan@hefu.example",
                    mobile="13800000001",
                ),
                Person(
                    "LiSi",
                    "李四",
                    position="产品经理",
                    email="LiSi@example.com",
                    mobile="+86 13800000002",
                ),
                Person(
                    "alice.smith",
                    "Alice Smith",
                    alias="Alice",
                    position="Designer",
                    departments=(1, 2),
                    email="alice@example.com",
                    mobile="+44 7700 900123",
                ),
                Person("bob_jones-2", "Bob Jones", departments=(2,)),
                Person("wangwu", "王五", status=2),
                Person("zhaoliu", "赵六", status=4),
                Person("sunqi", "孙七", status=5),
                Person("zhouba", "周八", visible=False),
            ],
        ),
        Corp(
            NORTHWIND,
            "Northwind Traders",
            apps=[ELSEWHERE],
            people=[
                Person("zhangsan", "Zoe Zhang", position="Buyer"),
                Person("maria", "María Anders", email="maria@northwind.example"),
            ],
        ),
    ]
