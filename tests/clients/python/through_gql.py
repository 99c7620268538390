"""gql: introspects, checks each document against the schema, and logs in."""

import json
import os
from pathlib import Path

import flow
from gql import Client, gql
from gql.transport.httpx import HTTPXTransport

OPERATIONS = Path(os.environ["OPERATIONS"])


def send(name, variables, token=None):
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    transport = HTTPXTransport(url=os.environ["HEFU"] + "/graphql", headers=headers)
    document = gql((OPERATIONS / f"{name}.graphql").read_text())
    document.variable_values = variables
    with Client(transport=transport, fetch_schema_from_transport=True) as session:
        return session.execute(document)


print(json.dumps(flow.run(send)))
