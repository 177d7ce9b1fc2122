"""A job that runs: its state, a stop with a savepoint, what went wrong. Two ways to reach it with the
same functions: `Started` by this process, or `Found` on a cluster by its REST interface, when the
process that started it has gone."""
import json
import re
import time
import urllib.error
import urllib.request

from py4j.protocol import Py4JJavaError
from pyflink.java_gateway import get_gateway

ENDED = ("FINISHED", "FAILED", "CANCELED")


class NotNow(Exception):
    """It cannot be stopped at the moment; the text says why."""


def reasons(text):
    """The lines of a Java stack trace that say what was wrong."""
    found = []
    for line in re.findall(r"(?:Caused by: |\n\S*Error: )(.*)", text):
        if line and line not in found:
            found.append(line[:400])
    return found or [text[:400]]


class Started:
    def __init__(self, client):
        self.client = client

    def state(self):
        return self.client.get_job_status().result().name

    def stop(self, folder):
        """The savepoint's path. PyFlink's own stop_with_savepoint calls a method that Flink 2 no longer
        has."""
        kind = get_gateway().jvm.org.apache.flink.core.execution.SavepointFormatType.DEFAULT
        try:
            return self.client._j_job_client.stopWithSavepoint(False, folder, kind).get()
        except Py4JJavaError as e:
            raise NotNow(reasons(str(e))[-1]) from e

    def failure(self):
        try:
            self.client.get_job_execution_result().result()
        except Exception as e:
            return reasons(str(e))
        return []


class Found:
    def __init__(self, address, jid):
        self.url = f"http://{address}/jobs/{jid}"

    def state(self):
        return ask(self.url)["state"]

    def stop(self, folder):
        try:
            asked = ask(f"{self.url}/stop", {"targetDirectory": folder, "drain": False})
            while True:
                reply = ask(f"{self.url}/savepoints/{asked['request-id']}")
                if reply["status"]["id"] == "COMPLETED":
                    break
                time.sleep(0.2)
        except urllib.error.URLError as e:
            raise NotNow(str(e)) from e
        if "location" not in reply["operation"]:
            raise NotNow(reasons(str(reply["operation"].get("failure-cause")))[-1])
        return reply["operation"]["location"]

    def failure(self):
        found = ask(f"{self.url}/exceptions")["exceptionHistory"]["entries"]
        return reasons(found[0]["stacktrace"]) if found else []


def ask(url, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as reply:
        return json.load(reply)


def find(address, name):
    """The job of this name that runs on a cluster, or None: to submit it again would repeat all."""
    for job in ask(f"http://{address}/jobs/overview")["jobs"]:
        if job["name"] == name and job["state"] not in ENDED:
            return Found(address, job["jid"])
    return None
