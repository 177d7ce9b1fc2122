#!/usr/bin/env python3
"""A proxy that makes connections (CONNECT) and nothing else, for tests.

connect_proxy.py PORT_FILE LOG TARGET_PORT [USER:PASSWORD]

Whatever is asked for, it connects to 127.0.0.1:TARGET_PORT, so that names need not exist. A line in
LOG for each request: its first line, and the login it came with or a dash."""
import base64
import os
import socket
import sys
import threading


def pump(source, target):
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def serve(client, log, target_port, login):
    head = b""
    while b"\r\n\r\n" not in head:
        data = client.recv(65536)
        if not data:
            return
        head += data
    lines = head.decode().split("\r\n")
    given = next((line.split()[-1] for line in lines if line.lower().startswith("proxy-authorization:")), None)
    given = base64.b64decode(given).decode() if given else "-"
    log.write(f"{lines[0]} {given}\n")
    log.flush()
    if login and given != login:
        client.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
        client.close()
    elif not lines[0].startswith("CONNECT "):
        client.sendall(b"HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\n\r\n")
        client.close()
    else:
        server = socket.create_connection(("127.0.0.1", target_port))
        client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        threading.Thread(target=pump, args=(server, client), daemon=True).start()
        pump(client, server)


def main():
    port_file, log, target_port, login = (sys.argv[1:] + [None])[:4]
    listener = socket.create_server(("127.0.0.1", 0), backlog=256)
    with open(port_file + ".new", "w", encoding="ascii") as f:
        f.write(f"{listener.getsockname()[1]}\n")
    os.rename(port_file + ".new", port_file)
    with open(log, "w", encoding="utf-8") as out:
        while True:
            client, _ = listener.accept()
            threading.Thread(target=serve, args=(client, out, int(target_port), login), daemon=True).start()


main()
