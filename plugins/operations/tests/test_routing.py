"""Tests that every handler declares its own route."""

import inspect
from collections.abc import Callable
from typing import Any

import pytest
from aliaport_operations.accounts import Accounts
from aliaport_operations.gate_logs import GateLogs
from aliaport_operations.routing import ApiRequest, routes_of
from aliaport_operations.sign_in import SignIn
from aliaport_operations.work_orders import WorkOrders

OWNERS: list[type[Any]] = [SignIn, Accounts, WorkOrders, GateLogs]


def bare(owner: type[Any]) -> Any:
    """Return an uninitialised instance, for its methods only."""
    return object.__new__(owner)


def takes_request(method: Callable[..., Any]) -> bool:
    parameters = inspect.signature(method).parameters.values()
    return any(parameter.annotation is ApiRequest for parameter in parameters)


@pytest.mark.parametrize("owner", OWNERS, ids=lambda owner: owner.__name__)
def test_each_public_method_that_takes_a_request_declares_a_route(owner: type[Any]) -> None:
    handlers = {
        name
        for name, method in vars(owner).items()
        if inspect.iscoroutinefunction(method)
        and not name.startswith("_")
        and takes_request(method)
    }
    assert handlers
    assert handlers == {handler.__name__ for _, handler in routes_of(bare(owner))}


def test_no_two_handlers_declare_the_same_route() -> None:
    declared = [
        (route.method, route.path) for owner in OWNERS for route, _ in routes_of(bare(owner))
    ]
    assert sorted(declared) == sorted(set(declared))
