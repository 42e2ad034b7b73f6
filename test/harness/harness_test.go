package harness

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// A program in the home directory runs, and sees no other file there.
func TestAProgramInTheHome(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("who is not root sees the whole home directory")
	}
	home := t.TempDir()
	t.Setenv("HOME", home)
	program := filepath.Join(home, "berth", "bin", "shows")
	if err := os.MkdirAll(filepath.Dir(program), 0o700); err != nil {
		t.Fatal(err)
	}
	Write(t, program, 0o700, "#!/bin/sh\ncd && find . -type f\n")
	Write(t, filepath.Join(home, ".bashrc"), 0o600, "echo hello\n")
	if out := Must(t, PlainHome(program)); out != "./berth/bin/shows\n" {
		t.Errorf("it sees %q", out)
	}
}

// A script fails if a command ends in another way, or prints something else, than it
// should.
func TestScriptsFail(t *testing.T) {
	for script, want := range map[string]string{
		"run sh -c 'exit 3'":                                "exit 3, want 0",
		"run -exit 3 true":                                  "exit 0, want 3",
		"run nonesuch":                                      "exit 127, want 0",
		"run a.sh\n-- a.sh --\nexit 4\n":                    "exit 4, want 0",
		"run echo a\nprints":                                `stdout is "a\n", want ""`,
		"run echo a\nprints b":                              `stdout is "a\n", want "b\n"`,
		"run echo a\nprints a b":                            `stdout is "a\n", want "a\nb\n"`,
		"run printf a\nprints a":                            `stdout is "a", want "a\n"`,
		"run printf 'a\\r\\n'\nprints a":                    `stdout is "a\r\n", want "a\n"`,
		"run sh -c 'echo a; echo e >&2'\nprints a":          `stderr is "e\n", want ""`,
		"run sh -c 'echo a; echo e >&2'\ncomplains e":       `stdout is "a\n", want ""`,
		"run true\nprints\nrun true\nrun -exit 1 echo more": "exit 0, want 1",
	} {
		if got := fate(t, script); !strings.Contains(got, want) {
			t.Errorf("%q: %q, want %q", script, got, want)
		}
	}
	for _, script := range []string{"run sh -c 'exit 0'\nprints", "run -exit 3 sh -c 'exit 3'", `run printf 'a\r\nb\n'` + "\n" + `prints 'a\r' b`} {
		if got := fate(t, script); got != "" {
			t.Errorf("%q fails: %s", script, got)
		}
	}
}

// fate returns the message of a script that fails; "" for one that does not.
func fate(t *testing.T, script string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "script.txtar")
	Write(t, file, 0o600, script+"\n")
	told := &teller{}
	func() {
		defer func() {
			if ended := recover(); ended != nil && ended != told {
				panic(ended)
			}
		}()
		testscript.RunT(told, scriptParams(t, file, nil, nil))
	}()
	if !told.failed {
		return ""
	}
	return told.text.String()
}

// teller writes down what a script says.
type teller struct {
	text   strings.Builder
	failed bool
}

func (s *teller) Skip(...any)                        { panic(s) }
func (s *teller) Fatal(words ...any)                 { s.Log(words...); s.FailNow() }
func (s *teller) FailNow()                           { s.failed = true; panic(s) }
func (s *teller) Run(_ string, f func(testscript.T)) { f(s) }
func (s *teller) Parallel()                          {}
func (s *teller) Verbose() bool                      { return false }
func (s *teller) Log(words ...any) {
	for _, word := range words {
		if text, isText := word.(string); isText {
			s.text.WriteString(text)
		}
	}
}

// Text of a stranger in a login makes no record of its own.
func TestParseRecord(t *testing.T) {
	for line, want := range map[string]Record{
		`level=INFO msg="logged in" conn=A login=dev+lab` + "\n":              {"level": "INFO", "msg": "logged in", "conn": "A", "login": "dev+lab"},
		`msg="not logged in" err="no user \"x\" msg=entered user=bob"` + "\n": {"msg": "not logged in", "err": `no user "x" msg=entered user=bob`},
		`msg=closed conn=A`:        {},
		"goroutine 1 [running]:\n": {},
	} {
		if got := parseRecord(line); !maps.Equal(got, want) {
			t.Errorf("%q: %v, want %v", line, got, want)
		}
	}
}
