"""
What remembering documents saves: the same operation through Strawberry's `execute`,
which parses and validates it each time, and through Documents with the bare executor.

    python -m bench.documents
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from inspect import isawaitable

from hefu.documents import Documents
from tests.hefu.sample_app import SampleContext, schema

QUERY = """
mutation SignIn($input: LoginInput!) { signInWithPassword(input: $input) }
"""
VARIABLES = {"input": {"account": "li.lei", "password": "correct horse"}}
ROUNDS = 2_000


async def measure(run: Callable[[], Awaitable[object]]) -> float:
    """Microseconds for one, the best of five."""
    best = float("inf")
    for _ in range(5):
        began = time.perf_counter()
        for _ in range(ROUNDS // 5):
            await run()
        best = min(best, (time.perf_counter() - began) / (ROUNDS // 5))
    return best * 1e6


async def main() -> None:
    core = schema._schema  # pyright: ignore[reportPrivateUsage]
    documents = Documents(core)

    async def before() -> object:
        return await schema.execute(
            QUERY, variable_values=VARIABLES, context_value=SampleContext()
        )

    async def after() -> object:
        document = documents.prepare(QUERY, introspection=False)
        executor = schema.execution_context_class.build(
            core,
            document.tree,
            context_value=SampleContext(),
            raw_variable_values=VARIABLES,
        )
        assert not isinstance(executor, list)  # noqa: S101
        document.hold_cost(document.operation(None), executor.variable_values.coerced)
        result = executor.execute_operation()
        return await result if isawaitable(result) else result

    slow, fast = await measure(before), await measure(after)
    print(f"schema.execute       {slow:8.0f} µs")
    print(f"Documents            {fast:8.0f} µs")
    print(f"ratio                {slow / fast:8.1f}")


if __name__ == "__main__":
    asyncio.run(main())
