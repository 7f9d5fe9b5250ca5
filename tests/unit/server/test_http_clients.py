"""The default HTTP clients of other languages: several requests of each kind on kept connections, answered one by one."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from server_process import Server

JAVA = """
import java.io.*; import java.net.*; import java.net.http.*; import java.net.http.HttpRequest.*;
public class Main {
  public static void main(String[] a) throws Exception {
    URI uri = URI.create(a[0] + "/echo");
    for (HttpClient.Version version : HttpClient.Version.values()) {  // HTTP_2 offers `Upgrade: h2c`
      HttpClient client = HttpClient.newBuilder().version(version).build();
      for (boolean waits : new boolean[]{false, true})
        for (int i = 0; i < 2; i++) {
          String text = version + (waits ? " waits " : " ") + i;
          BodyPublisher length = BodyPublishers.ofString(text);
          BodyPublisher chunks = BodyPublishers.ofInputStream(() -> new ByteArrayInputStream(text.getBytes()));
          for (BodyPublisher body : new BodyPublisher[]{length, chunks})
          {
            HttpRequest request = HttpRequest.newBuilder(uri).expectContinue(waits).POST(body).build();
            System.out.println(text + "\\t" + client.send(request, HttpResponse.BodyHandlers.ofString()).body());
          }
        }
    }
    for (int i = 0; i < 2; i++) {
      HttpURLConnection c = (HttpURLConnection) uri.toURL().openConnection();
      c.setRequestMethod("POST"); c.setDoOutput(true); c.setChunkedStreamingMode(3);
      try (OutputStream out = c.getOutputStream()) { out.write("streamed".getBytes()); }
      System.out.println("streamed\\t" + new String(c.getInputStream().readAllBytes()));
    }
  }
}
"""
GO = """
package main
import ("fmt"; "io"; "net/http"; "os"; "strings"; "time")
func main() {
  client := &http.Client{Transport: &http.Transport{ExpectContinueTimeout: 5 * time.Second}}
  for i := 0; i < 2; i++ {
    for _, kind := range []string{"length", "chunks", "trailer", "waits", "upgrade"} {
      text := fmt.Sprint(kind, " ", i)
      var body io.Reader = strings.NewReader(text)
      if kind == "chunks" || kind == "trailer" { body = io.MultiReader(strings.NewReader(text[:3]), strings.NewReader(text[3:])) }
      request, _ := http.NewRequest("POST", os.Args[1] + "/echo", body)
      if kind == "trailer" { request.Trailer = http.Header{"X-A": {"b"}} }
      if kind == "waits" { request.Header.Set("Expect", "100-continue") }
      if kind == "upgrade" { request.Header.Set("Connection", "Upgrade"); request.Header.Set("Upgrade", "websocket") }
      response, err := client.Do(request)
      if err != nil { panic(err) }
      answer, _ := io.ReadAll(response.Body)
      response.Body.Close()
      fmt.Printf("%s\\t%s\\n", text, answer)
    }
  }
}
"""
NODE = """
const http = require("http"), agent = new http.Agent({keepAlive: true, maxSockets: 1}), url = process.argv[2] + "/echo";
const send = (text, headers, pieces) => new Promise((done, failed) => {
  const request = http.request(url, {method: "POST", agent, headers}, response => {
    let answer = "";
    response.on("data", piece => answer += piece).on("end", () => { console.log(text + "\\t" + answer); done(); });
  }).on("error", failed);
  const write = () => { pieces.forEach(piece => request.write(piece)); request.end(); };
  headers.Expect ? request.on("continue", write) : write();
});
(async () => {
  for (let i = 0; i < 2; i++) {
    const offer = {Connection: "Upgrade", Upgrade: "h2c"};
    for (const [kind, headers] of [["chunks", {}], ["waits", {Expect: "100-continue"}], ["upgrade", offer]])
      await send(kind + " " + i, headers, [kind, " " + i]);
    await send("length " + i, {"Content-Length": 8}, ["leng", "th " + i]);
    const text = "fetched " + i;
    console.log(text + "\\t" + await (await fetch(url, {method: "POST", body: text})).text());
  }
  agent.destroy();
})();
"""
CLIENTS = {
    "java": ("Main.java", JAVA, "javac", ["java"], 18),
    "go": ("main.go", GO, "go", ["go", "run"], 10),
    "node": ("main.js", NODE, "node", ["node"], 10),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", CLIENTS)
def test_client_gets_the_answer_to_each_request(shared_server: Server, tmp_path: Path, name: str) -> None:
    file, text, needed, command, count = CLIENTS[name]
    if shutil.which(needed) is None:
        pytest.skip(f"needs {needed}")
    (tmp_path / file).write_text(text)
    url = f"http://{shared_server.address()}"
    done = subprocess.run([*command, file, url], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    lines = [line.split("\t") for line in done.stdout.splitlines()]
    assert [json.loads(answer)["body"] for _, answer in lines] == [sent for sent, _ in lines], done.stderr
    assert len(lines) == count and done.returncode == 0, done.stderr
