package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestBuildErrorNamesTheStepAndEndsWithItsLastLines(t *testing.T) {
	output := `{"stream":"Step 1/2 : FROM debian"}
{"stream":" ---\u003e 0a1b\n"}
{"stream":"Step 2/2 : RUN make\n"}
{"stream":" ---\u003e Running in 0a1b\n"}
{"stream":"gcc main.c\n"}{"stream":"main.c:1: no such header\n"}
{"stream":"Removing intermediate container 0a1b\n"}
{"errorDetail":{"code":2,"message":"The command '/bin/sh -c make' returned a non-zero code: 2"},"error":"same"}
`
	err := (&progress{}).followBuild(strings.NewReader(output))
	want := "Step 2/2 : RUN make: The command '/bin/sh -c make' returned a non-zero code: 2\n" +
		"  | gcc main.c\n  | main.c:1: no such header"
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

func TestBuildThatEndsIsNoError(t *testing.T) {
	if err := (&progress{}).followBuild(strings.NewReader(`{"stream":"Successfully built"}`)); err != nil {
		t.Error(err)
	}
}

// What gRPC's client in the engine has to find in an answer.
func TestABuildSessionIsWellAndCanNothingElse(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(answer))
	server.Config.Protocols = new(http.Protocols)
	server.Config.Protocols.SetUnencryptedHTTP2(true)
	server.Start()
	defer server.Close()
	client := http.Client{Transport: &http.Transport{Protocols: server.Config.Protocols}}
	for path, want := range map[string]struct{ inHeader, inTrailer, body string }{
		healthCheck:                       {"", "0", "\x00\x00\x00\x00\x02\x08\x01"},
		"/moby.filesync.v1.Auth/Whatever": {"12", "", ""},
	} {
		response, err := client.Post(server.URL+path, "application/grpc", strings.NewReader("\x00\x00\x00\x00\x00"))
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err != nil || string(body) != want.body || response.Header.Get("Grpc-Status") != want.inHeader || response.Trailer.Get("Grpc-Status") != want.inTrailer {
			t.Errorf("%s: %q, header %v, trailer %v, %v", path, body, response.Header, response.Trailer, err)
		}
	}
}
