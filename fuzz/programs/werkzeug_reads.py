"""What Werkzeug makes of paths: one of each line of the input, in hex; for each a line with all that an app may see, in
hex. Its own server reads the requests; a map of routes says where it would redirect to."""

import logging
import socket
import sys
import threading
from urllib.parse import unquote_to_bytes, urlsplit

from werkzeug.exceptions import HTTPException
from werkzeug.routing import Map, RequestRedirect, Rule
from werkzeug.serving import make_server
from werkzeug.wrappers import Request, Response

logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
ROUTES = Map([Rule("/<path:rest>", endpoint="any"), Rule("/", endpoint="root")])


@Request.application
def app(request):
    info = request.environ["PATH_INFO"].encode("latin-1")
    seen = [info]
    try:
        ROUTES.bind_to_environ(request.environ).match()
    except RequestRedirect as redirect:
        seen.append(unquote_to_bytes(urlsplit(redirect.new_url).path))
    except HTTPException:
        pass
    return Response(" ".join(part.hex() for part in seen))


server = make_server("127.0.0.1", 0, app)
threading.Thread(target=server.serve_forever, daemon=True).start()
for line in sys.stdin:
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(b"GET " + bytes.fromhex(line.strip()) + b" HTTP/1.0\r\nHost: h\r\n\r\n")
        answer = b""
        while part := connection.recv(65536):
            answer += part
    head, _, body = answer.partition(b"\r\n\r\n")
    print(body.decode() if b" 200 " in head.split(b"\r\n")[0] else "", flush=True)
