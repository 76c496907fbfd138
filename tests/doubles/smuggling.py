"""Requests and answers that proxies, apps and clients have been known to read in two ways.

``REFUSED``: answered 400, and the connection ends. ``READ``: passed on, with what must arrive: a list of (method, body).
``GARBLED``: answers of an app that become a 502.
"""

_H = b"Host: shop.example\r\n"
_CHUNKED = _H + b"Transfer-Encoding: chunked\r\n\r\n"

REFUSED = {
    "CL and TE": b"POST / HTTP/1.1\r\n" + _H + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "TE and CL": b"POST / HTTP/1.1\r\n" + _H + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "TE xchunked": b"POST / HTTP/1.1\r\n" + _H + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "TE identity": b"POST / HTTP/1.1\r\n" + _H + b"Transfer-Encoding: identity\r\n\r\n",
    "TE empty": b"POST / HTTP/1.1\r\n" + _H + b"Transfer-Encoding: \r\n\r\n",
    "TE gzip, chunked": b"POST / HTTP/1.1\r\n" + _H + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "TE chunked, identity": b"POST / HTTP/1.1\r\n" + _H + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "TE twice": b"POST / HTTP/1.1\r\n" + _H + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "TE vertical tab": b"POST / HTTP/1.1\r\n" + _H + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "TE between tabs": b"POST / HTTP/1.1\r\n" + _H + b"Transfer-Encoding:\tchunked\t\r\n\r\n0\r\n\r\n",
    "TE space before colon": b"POST / HTTP/1.1\r\n" + _H + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "TE folded": b"POST / HTTP/1.1\r\n" + _H + b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
    "TE by underscore": b"POST / HTTP/1.1\r\n" + _H + b"Transfer_Encoding: chunked\r\nContent-Length: 2\r\n\r\nok",
    "CL twice, same": b"POST / HTTP/1.1\r\n" + _H + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\nok",
    "CL twice, other": b"POST / HTTP/1.1\r\n" + _H + b"Content-Length: 2\r\nContent-Length: 0\r\n\r\nok",
    "CL list": b"POST / HTTP/1.1\r\n" + _H + b"Content-Length: 2, 2\r\n\r\nok",
    "CL signed": b"POST / HTTP/1.1\r\n" + _H + b"Content-Length: +2\r\n\r\nok",
    "CL negative": b"POST / HTTP/1.1\r\n" + _H + b"Content-Length: -1\r\n\r\n",
    "CL hexadecimal": b"POST / HTTP/1.1\r\n" + _H + b"Content-Length: 0x2\r\n\r\nok",
    "CL empty": b"POST / HTTP/1.1\r\n" + _H + b"Content-Length:\r\n\r\n",
    "CL overflow": b"POST / HTTP/1.1\r\n" + _H + b"Content-Length: 99999999999999999999\r\n\r\n",
    "CL by underscore": b"POST / HTTP/1.1\r\n" + _H + b"Content_Length: 2\r\n\r\n",
    "bare LF everywhere": b"GET / HTTP/1.1\nHost: shop.example\n\n",
    "bare LF in the head": b"GET / HTTP/1.1\r\nHost: shop.example\nX: y\r\n\r\n",
    "bare LF at the end": b"GET / HTTP/1.1\r\n" + _H + b"\n",
    "bare CR": b"GET / HTTP/1.1\r\nHost: shop.example\rX: y\r\n\r\n",
    "obs-fold": b"GET / HTTP/1.1\r\n" + _H + b"X: y\r\n z\r\n\r\n",
    "obs-fold first": b"GET / HTTP/1.1\r\n X: y\r\n" + _H + b"\r\n",
    "NUL": b"GET / HTTP/1.1\r\n" + _H + b"X: y\x00z\r\n\r\n",
    "control character": b"GET / HTTP/1.1\r\n" + _H + b"X: y\x01z\r\n\r\n",
    "space before colon": b"GET / HTTP/1.1\r\nHost : shop.example\r\n\r\n",
    "no colon": b"GET / HTTP/1.1\r\n" + _H + b"nonsense\r\n\r\n",
    "empty name": b"GET / HTTP/1.1\r\n" + _H + b": y\r\n\r\n",
    "odd name": b"GET / HTTP/1.1\r\n" + _H + b"X(y: z\r\n\r\n",
    "Host missing": b"GET / HTTP/1.1\r\n\r\n",
    "Host empty": b"GET / HTTP/1.1\r\nHost:\r\n\r\n",
    "Host twice": b"GET / HTTP/1.1\r\n" + _H + _H + b"\r\n",
    "Host with space": b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
    "Host with user": b"GET / HTTP/1.1\r\nHost: x@y\r\n\r\n",
    "Host list": b"GET / HTTP/1.1\r\nHost: a, b\r\n\r\n",
    "Host with path": b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
    "Host with odd port": b"GET / HTTP/1.1\r\nHost: a:b\r\n\r\n",
    "Host 8-bit": b"GET / HTTP/1.1\r\nHost: sh\xc3\xb6p\r\n\r\n",
    "absolute target, other host": b"GET http://other.example/ HTTP/1.1\r\n" + _H + b"\r\n",
    "absolute target, user": b"GET http://a@shop.example/ HTTP/1.1\r\n" + _H + b"\r\n",
    "HTTP/2.0": b"GET / HTTP/2.0\r\n" + _H + b"\r\n",
    "HTTP/1.2": b"GET / HTTP/1.2\r\n" + _H + b"\r\n",
    "HTTP/0.9": b"GET / HTTP/0.9\r\n" + _H + b"\r\n",
    "no version": b"GET /\r\n\r\n",
    "version in lower case": b"GET / http/1.1\r\n" + _H + b"\r\n",
    "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/1.0 and chunked": b"POST / HTTP/1.0\r\n" + _CHUNKED + b"0\r\n\r\n",
    "chunk size 0x": b"POST / HTTP/1.1\r\n" + _CHUNKED + b"0x2\r\nok\r\n0\r\n\r\n",
    "chunk size negative": b"POST / HTTP/1.1\r\n" + _CHUNKED + b"-1\r\nok\r\n0\r\n\r\n",
    "chunk size overflow": b"POST / HTTP/1.1\r\n" + _CHUNKED + b"fffffffffffffffff\r\nok\r\n0\r\n\r\n",
    "chunk size and space": b"POST / HTTP/1.1\r\n" + _CHUNKED + b"2 \r\nok\r\n0\r\n\r\n",
    "chunk line by LF": b"POST / HTTP/1.1\r\n" + _CHUNKED + b"2\nok\r\n0\r\n\r\n",
    "chunk data by LF": b"POST / HTTP/1.1\r\n" + _CHUNKED + b"2\r\nok\n0\r\n\r\n",
    "chunk too long": b"POST / HTTP/1.1\r\n" + _CHUNKED + b"2\r\nokk\r\n0\r\n\r\n",
    "chunk extension with LF": b"POST / HTTP/1.1\r\n" + _CHUNKED + b"2;a\nb\r\nok\r\n0\r\n\r\n",
    "trailer with CL": b"POST / HTTP/1.1\r\n" + _CHUNKED + b"2\r\nok\r\n0\r\nContent-Length: 9\r\n\r\n",
    "upgrade with body": b"POST / HTTP/1.1\r\n"
    + _H
    + b"Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 2\r\n\r\nok",
    "upgrade with chunks": b"POST / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" + _CHUNKED + b"0\r\n\r\n",
    "upgrade with body to come": b"POST / HTTP/1.1\r\n"
    + _H
    + b"Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 2\r\n\r\n",
    "CONNECT": b"CONNECT shop.example:443 HTTP/1.1\r\n" + _H + b"\r\n",
    "unknown method": b"FOO / HTTP/1.1\r\n" + _H + b"\r\n",
    "method in lower case": b"get / HTTP/1.1\r\n" + _H + b"\r\n",
    "8-bit target": b"GET /caf\xc3\xa9 HTTP/1.1\r\n" + _H + b"\r\n",
    "control character in target": b"GET /\x01 HTTP/1.1\r\n" + _H + b"\r\n",
    "relative target": b"GET x HTTP/1.1\r\n" + _H + b"\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "Content-Type twice": b"GET / HTTP/1.1\r\n" + _H + b"Content-Type: a/b\r\nContent-Type: c/d\r\n\r\n",
    "Connection: X-Forwarded-For": b"GET / HTTP/1.1\r\n" + _H + b"Connection: close, X-Forwarded-For\r\n\r\n",
    "Connection: Host": b"GET / HTTP/1.1\r\n" + _H + b"Connection: host\r\n\r\n",
    "Connection: Content-Length": b"POST / HTTP/1.1\r\n" + _H + b"Connection: content-length\r\nContent-Length: 2\r\n\r\nok",
    "X_Forwarded_For": b"GET / HTTP/1.1\r\n" + _H + b"X_Forwarded_For: 1.2.3.4\r\n\r\n",
    "X-Forwarded_Proto": b"GET / HTTP/1.1\r\n" + _H + b"X-Forwarded_Proto: https\r\n\r\n",
}

_HIDDEN = b"GET /hidden HTTP/1.1\r\n" + _H + b"\r\n"


def _post(fields: bytes, body: bytes) -> bytes:
    return b"POST /a HTTP/1.1\r\n" + _H + fields + b"\r\n" + body


READ: dict[str, tuple[bytes, list[tuple[str, bytes]]]] = {
    "CL with leading zeros": (_post(b"Content-Length: 002\r\n", b"ok"), [("POST", b"ok")]),
    "CL with white space": (_post(b"Content-Length: \t 2 \t\r\n", b"ok"), [("POST", b"ok")]),
    "CL without white space": (_post(b"CONTENT-LENGTH:2\r\n", b"ok"), [("POST", b"ok")]),
    "CL zero and a request behind": (
        _post(b"Content-Length: 0\r\n", b"GET /second HTTP/1.1\r\n" + _H + b"\r\n"),
        [("POST", b""), ("GET", b"")],
    ),
    "a body that looks like a request": (_post(b"Content-Length: %d\r\n" % len(_HIDDEN), _HIDDEN), [("POST", _HIDDEN)]),
    "TE in odd case": (_post(b"transfer-ENCODING: ChUnKeD\r\n", b"2\r\nok\r\n0\r\n\r\n"), [("POST", b"ok")]),
    "TE with white space": (_post(b"Transfer-Encoding:  chunked  \r\n", b"2\r\nok\r\n0\r\n\r\n"), [("POST", b"ok")]),
    "chunk size with zeros": (b"POST /a HTTP/1.1\r\n" + _CHUNKED + b"00002\r\nok\r\n000\r\n\r\n", [("POST", b"ok")]),
    "chunk size in capitals": (b"POST /a HTTP/1.1\r\n" + _CHUNKED + b"A\r\n0123456789\r\n0\r\n\r\n", [("POST", b"0123456789")]),
    "chunk extension": (b"POST /a HTTP/1.1\r\n" + _CHUNKED + b"2;a=b\r\nok\r\n0;c\r\n\r\n", [("POST", b"ok")]),
    "quoted chunk extension": (b"POST /a HTTP/1.1\r\n" + _CHUNKED + b'2;a="b;c"\r\nok\r\n0\r\n\r\n', [("POST", b"ok")]),
    "trailer": (b"POST /a HTTP/1.1\r\n" + _CHUNKED + b"2\r\nok\r\n0\r\nX-Trailer: 1\r\n\r\n", [("POST", b"ok")]),
    "a chunk that looks like the last": (
        b"POST /a HTTP/1.1\r\n" + _CHUNKED + b"5\r\n0\r\n\r\n\r\n0\r\n\r\n",
        [("POST", b"0\r\n\r\n")],
    ),
    "a chunk that looks like a request": (
        b"POST /a HTTP/1.1\r\n" + _CHUNKED + b"%x\r\n%b\r\n0\r\n\r\n" % (len(_HIDDEN), _HIDDEN),
        [("POST", _HIDDEN)],
    ),
    "GET with a body": (b"GET /a HTTP/1.1\r\n" + _H + b"Content-Length: 2\r\n\r\nok", [("GET", b"ok")]),
    "GET with chunks": (b"GET /a HTTP/1.1\r\n" + _CHUNKED + b"2\r\nok\r\n0\r\n\r\n", [("GET", b"ok")]),
    "DELETE with a body": (b"DELETE /a HTTP/1.1\r\n" + _H + b"Content-Length: 2\r\n\r\nok", [("DELETE", b"ok")]),
    "empty lines before": (b"\r\n\r\nGET /a HTTP/1.1\r\n" + _H + b"\r\n", [("GET", b"")]),
    "absolute target": (b"GET http://shop.example/a HTTP/1.1\r\n" + _H + b"\r\n", [("GET", b"")]),
    "Expect with the body at once": (_post(b"Expect: 100-continue\r\nContent-Length: 2\r\n", b"ok"), [("POST", b"ok")]),
    "TE and Trailer fields": (_post(b"TE: trailers\r\nTrailer: X\r\nContent-Length: 2\r\n", b"ok"), [("POST", b"ok")]),
    "Connection names a field": (_post(b"Connection: x-a\r\nX-A: 1\r\nContent-Length: 2\r\n", b"ok"), [("POST", b"ok")]),
    "a field that only looks like CL": (_post(b"X-Content-Length: 99\r\nContent-Length: 2\r\n", b"ok"), [("POST", b"ok")]),
    "8-bit value": (_post(b"X: \xff\xfe\r\nContent-Length: 2\r\n", b"ok"), [("POST", b"ok")]),
    "HTTP/1.0 with CL": (
        b"POST /a HTTP/1.0\r\nConnection: keep-alive\r\n" + _H + b"Content-Length: 2\r\n\r\nok",
        [("POST", b"ok")],
    ),
}

GARBLED = {
    "CL space before colon": b"HTTP/1.1 200 OK\r\nContent-Length : 5\r\n\r\nhello",
    "CL spaces before colon": b"HTTP/1.1 200 OK\r\nContent-Length   : 5\r\n\r\nhello",
    "CL tab before colon": b"HTTP/1.1 200 OK\r\nContent-Length\t: 5\r\n\r\nhello",
    "CL twice, once with space": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length : 0\r\n\r\nhello",
    "CL with space and TE": b"HTTP/1.1 200 OK\r\nContent-Length : 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "CL with space in a 304": b"HTTP/1.1 304 Not Modified\r\nContent-Length : 5\r\n\r\n",
    "CL with space in a 103": b"HTTP/1.1 103 Early Hints\r\nContent-Length : 5\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    "TE space before colon": b"HTTP/1.1 200 OK\r\nTransfer-Encoding : chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "TE with space and CL": b"HTTP/1.1 200 OK\r\nTransfer-Encoding : chunked\r\nContent-Length: 5\r\n\r\nhello",
    "Connection space before colon": b"HTTP/1.1 200 OK\r\nConnection : x-hop\r\nX-Hop: 1\r\nContent-Length: 0\r\n\r\n",
    "Upgrade space before colon": b"HTTP/1.1 200 OK\r\nUpgrade : h2c\r\nContent-Length: 0\r\n\r\n",
    "Cache-Control space before colon": b"HTTP/1.1 200 OK\r\nCache-Control : public\r\nContent-Length: 0\r\n\r\n",
    "CL and TE": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "CL twice, other": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 0\r\n\r\nhello",
    "CL list": b"HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\nhello",
    "CL signed": b"HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\nhello",
    "TE gzip, chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
}
