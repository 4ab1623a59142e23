"""Nobody gets in: other websites, other host names, the network without the token, and files that are not pictures."""

from collections.abc import Iterator

import pytest
from fastapi import FastAPI
from starlette.routing import Mount
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

import app
from tests.jobs.studio import Studio, studio
from tests.rest.conftest import HERE, around
from ui.cli.options import Folders
from ui.cli.serve import Address

SOCKET = "ws://127.0.0.1:7860/ws"
FOREIGN = ("http://evil.example", "null", "http://127.0.0.1:9999", "http://[bad")


@pytest.fixture(scope="module")
def inside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    """One studio for all: nobody gets in, so nothing in it changes."""
    with studio(tmp_path_factory.mktemp("doors") / "data") as made:
        yield made


@pytest.fixture(scope="module")
def behind(inside: Studio) -> Iterator[app.Inside]:
    with around(inside) as made:
        yield made


@pytest.fixture(scope="module")
def application(inside: Studio, behind: app.Inside) -> FastAPI:
    return app.web_application(behind, Folders(inside.folder), HERE, None)


@pytest.fixture(scope="module")
def client(application: FastAPI) -> Iterator[TestClient]:
    with TestClient(application, base_url="http://127.0.0.1:7860") as made:
        yield made


@pytest.mark.parametrize("origin", FOREIGN)
@pytest.mark.parametrize("path", ["/api/jobs", "/gradio_api/upload", "/gradio_api/queue/join"])
def test_another_websites_page_cannot_change_anything(client: TestClient, origin: str, path: str) -> None:
    answer = client.post(path, json={}, headers={"origin": origin})
    assert answer.status_code == 403
    assert "another website" in answer.json()["error"]["problem"]


@pytest.mark.parametrize("origin", FOREIGN)
def test_another_websites_page_cannot_listen(client: TestClient, origin: str) -> None:
    with pytest.raises(WebSocketDisconnect), client.websocket_connect(SOCKET, headers={"origin": origin}) as socket:
        socket.receive_text()


@pytest.mark.parametrize("origin", FOREIGN)
def test_no_answer_lets_another_origin_read_it(client: TestClient, origin: str) -> None:
    asked = {"origin": origin, "access-control-request-method": "POST"}
    for answer in (client.get("/config", headers={"origin": origin}), client.options("/api/jobs", headers=asked)):
        assert "access-control-allow-origin" not in answer.headers


def test_the_studios_own_page_may(client: TestClient) -> None:
    answer = client.post("/api/jobs", json={"steps": 0}, headers={"origin": "http://127.0.0.1:7860"})
    assert answer.json()["error"]["field"] == "steps"


@pytest.mark.parametrize("host", ["evil.example", "evil.example:7860", "127.0.0.1.evil.example"])
def test_a_host_name_that_is_not_ours_is_refused(client: TestClient, host: str) -> None:
    answer = client.get("/api/jobs", headers={"host": host})
    assert answer.status_code == 400
    assert answer.json()["error"]["fix"]


@pytest.mark.parametrize("host", ["127.0.0.1", "LOCALHOST:1234", "[::1]:7860"])
def test_every_name_of_this_machine_is_ours(client: TestClient, host: str) -> None:
    assert client.get("/health", headers={"host": host}).status_code == 200


@pytest.mark.parametrize("address", ["/etc/passwd", "../../etc/passwd", "http://127.0.0.1:1/x", "C:\\windows\\win.ini"])
def test_the_page_serves_no_file_of_this_machine(client: TestClient, inside: Studio, address: str) -> None:
    for path in (address, str(inside.folder.database)):
        assert client.get(f"/gradio_api/file={path}").status_code in {400, 403, 404}


def test_the_mounted_page_keeps_its_check_of_file_inputs(application: FastAPI) -> None:
    mounted = next(route for route in application.routes if isinstance(route, Mount) and route.path == "")
    blocks = mounted.app.get_blocks()  # type: ignore[attr-defined]
    assert blocks.has_launched, "without it, a mounted Gradio takes any path of this machine as a file input"


@pytest.fixture(scope="module")
def guarded(inside: Studio, behind: app.Inside) -> FastAPI:
    """Open to the network, behind a token."""
    return app.web_application(behind, Folders(inside.folder), Address("0.0.0.0", 7860), "secret")


class TestOnTheNetwork:
    """A studio that listens beyond this machine."""

    @pytest.fixture
    def stranger(self, guarded: FastAPI) -> TestClient:
        return TestClient(guarded, base_url="http://192.168.0.7:7860", follow_redirects=False)

    @pytest.mark.parametrize("path", ["/", "/config", "/api/jobs", "/api/images/1", "/gradio_api/file=x", "/health"])
    def test_every_door_asks_for_the_token(self, stranger: TestClient, path: str) -> None:
        for headers in ({}, {"cookie": "easel_access=wrong"}, {"authorization": "Bearer wrong"}):
            answer = stranger.get(path, headers=headers)
            assert answer.status_code == 401
            assert "token" in answer.json()["error"]["problem"]

    def test_the_socket_too(self, stranger: TestClient) -> None:
        with pytest.raises(WebSocketDisconnect), stranger.websocket_connect(SOCKET) as socket:
            socket.receive_text()

    def test_the_printed_address_opens_the_studio_once_and_for_all(self, stranger: TestClient) -> None:
        answer = stranger.get("/", params={"token": "secret"})
        assert (answer.status_code, answer.headers["location"]) == (303, "/")
        assert stranger.get("/api/jobs").status_code == 200
        cookie = answer.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=strict" in cookie

    def test_other_programs_cookies_do_not_hide_it(self, stranger: TestClient) -> None:
        cookies = 'settings={"a": 1}; easel_access=secret; other'
        assert stranger.get("/api/jobs", headers={"cookie": cookies}).status_code == 200

    def test_a_program_may_send_it_as_a_header(self, stranger: TestClient) -> None:
        assert stranger.get("/api/jobs", headers={"authorization": "Bearer secret"}).status_code == 200


@pytest.mark.parametrize(
    ("host", "private"), [("127.0.0.1", True), ("localhost", True), ("::1", True), ("0.0.0.0", False), ("lan", False)]
)
def test_only_this_machine_needs_no_token(host: str, private: bool) -> None:
    assert Address(host, 7860).is_private is private
