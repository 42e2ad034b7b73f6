package apply

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/moby/moby/api/types/build"
	"github.com/moby/moby/client"
	"google.golang.org/protobuf/encoding/protowire"
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
	err := followBuild(strings.NewReader(output), func(string) {})
	want := "Step 2/2 : RUN make: The command '/bin/sh -c make' returned a non-zero code: 2\n" +
		"  | gcc main.c\n  | main.c:1: no such header"
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

// A progress bar is one line of megabytes, which comes in small pieces.
func TestABuildsLineHasABound(t *testing.T) {
	b := buildLog{say: func(string) {}}
	s := &buildStep{}
	for range 10_000 {
		b.write(s, strings.Repeat("=", 1000)+"\r")
	}
	b.write(s, "\nno space left\n")
	if len(s.tail) != 2 || len(s.tail[0]) > maxTailLine || s.tail[1] != "no space left\n" {
		t.Errorf("%d lines, the first of %d bytes: %.80q", len(s.tail), len(s.tail[0]), s.tail)
	}
}

func TestBuildThatEndsIsNoError(t *testing.T) {
	if err := followBuild(strings.NewReader(`{"stream":"Successfully built"}`), func(string) {}); err != nil {
		t.Error(err)
	}
}

// The answers are as gRPC's client in the engine expects them.
func TestABuildSessionIsWellAndCanNothingElse(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(answer))
	server.Config.Protocols = new(http.Protocols)
	server.Config.Protocols.SetUnencryptedHTTP2(true)
	server.Start()
	defer server.Close()
	asker := http.Client{Transport: &http.Transport{Protocols: server.Config.Protocols}}
	for path, want := range map[string]struct{ inHeader, inTrailer, body string }{
		healthCheck:                       {"", "0", "\x00\x00\x00\x00\x02\x08\x01"},
		"/moby.filesync.v1.Auth/Whatever": {"12", "", ""},
	} {
		response, err := asker.Post(server.URL+path, "application/grpc", strings.NewReader("\x00\x00\x00\x00\x00"))
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

func TestAnEngineWithoutBuildKitBuildsByItsClassicBuilder(t *testing.T) {
	for name, c := range map[string]struct {
		says  build.BuilderVersion
		asked bool // for a session
	}{"configured so": {build.BuilderV1, false}, "that has none": {"", true}, "that lost it": {build.BuilderBuildKit, true}} {
		t.Run(name, func(t *testing.T) {
			asked := false
			engine := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Api-Version", "1.41")
				w.Header().Set("Builder-Version", string(c.says))
				if r.URL.Path == "/session" {
					asked = true
					http.NotFound(w, r)
				}
			}))
			defer engine.Close()
			api, err := client.New(client.WithHost(strings.Replace(engine.URL, "http", "tcp", 1)))
			if err != nil {
				t.Fatal(err)
			}
			session, err := openSession(t.Context(), api)
			if session != nil || err != nil || asked != c.asked {
				t.Errorf("%v, %v; asked for a session: %v", session, err, asked)
			}
		})
	}
}

// Steps run in parallel. The error names the step that failed, with the texts of
// present engines, whose lines come in pieces.
func TestBuildKitsErrorNamesTheStepThatFailed(t *testing.T) {
	const vertex, log = 1, 3
	step := func(digest, name, err string) string {
		return trace(vertex, map[protowire.Number]string{1: digest, 3: name, 5: "\b\x01", 7: err})
	}
	said := func(digest, text string) string { return trace(log, map[protowire.Number]string{1: digest, 4: text}) }
	output := step("sha256:a", "[build 2/3] RUN make", "") + step("sha256:b", "[docs 2/2] RUN man", "") +
		said("sha256:a", "gcc ma") + said("sha256:b", "formatting\n") + said("sha256:a", "in.c\nmain.c:1: no header\n\n") +
		step("sha256:b", "[docs 2/2] RUN man", "context canceled") +
		step("sha256:a", "[build 2/3] RUN make", `process "/bin/sh -c make" did not complete successfully: exit code: 2`) +
		`{"errorDetail":{"message":"failed to solve: process \"/bin/sh -c make\" did not complete successfully: exit code: 2"}}`
	err := followBuild(strings.NewReader(output), func(string) {})
	if want := "[build 2/3] RUN make: exit code: 2\n  | gcc main.c\n  | main.c:1: no header"; err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	for _, broken := range []string{`{"id":"moby.buildkit.trace","aux":"CgUK/w=="}`, `{"id":"moby.buildkit.trace","aux":7}`, `{"id":"moby.buildkit.trace"}`} {
		if err := followBuild(strings.NewReader(broken), func(string) {}); err != nil {
			t.Errorf("%s: %v", broken, err)
		}
	}
}

// The attack: a program in a build writes control sequences. The error that shows its
// output must neither clear root's terminal nor hide a part of the text.
func TestAttackByABuildsOutput(t *testing.T) {
	for name, output := range map[string]string{
		"of a step": `{"stream":"Step 1/1 : RUN make"}{"stream":"\u001b[2J\u202eno\r\u001b]0;x\u0007"}{"errorDetail":{"message":"code \u009b2J2"}}`,
		"of none":   `{"errorDetail":{"message":"failed to solve: \u001b[2J\u202eno"}}`,
	} {
		err := followBuild(strings.NewReader(output), func(string) {})
		if err == nil || strings.ContainsAny(err.Error(), "\x1b\u202e\u009b\a\r") || !strings.Contains(err.Error(), "?[2J?no") {
			t.Errorf("%s: got %q", name, err)
		}
	}
}

// trace is a message of BuildKit's with one part of this kind.
func trace(kind protowire.Number, fields map[protowire.Number]string) string {
	var part []byte
	for number, value := range fields {
		part = protowire.AppendString(protowire.AppendTag(part, number, protowire.BytesType), value)
	}
	status := protowire.AppendBytes(protowire.AppendTag(nil, kind, protowire.BytesType), part)
	text, _ := json.Marshal(status) // cannot fail for bytes
	return fmt.Sprintf(`{"id":"moby.buildkit.trace","aux":%s}`, text)
}
