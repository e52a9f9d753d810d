import pytest
from tests.support.model_servers import *
from tests.system.coding_agents import *
from tests.system.conftest import *
from tests.system.test_coding_agents import every_agent
from tests.system import programs
def _broken():
    c = yield Call("whoami")
    c.first("nothing like that")
    yield Say("x")
pytestmark=pytest.mark.system
@every_agent
def test_broken_story(agent, project, place):
    token = project.register(agent.name)
    with ModelServer(agent.wire, _broken()) as model:
        ran = agent.work(Connection(place, project.daemon.url, token, model.url))
def test_hang(place, monkeypatch):
    monkeypatch.setattr(programs,'WITHIN_S',1.0)
    place.run(["bash","-c","(sleep 77.125 &) ; sleep 77.125"],{})
