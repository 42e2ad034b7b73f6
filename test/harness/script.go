package harness

import (
	"errors"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// Scripts runs the testscripts of a pattern (testdata/*.txtar) against the
// target, in parallel. Besides testscript's own commands they have:
//
//	run [-exit N] COMMAND...
//		runs a command that must exit N, or else 0. A command that is a file
//		NAME.sh of the script is run by bash.
//	prints [LINE...]
//		wants exactly these lines on the last command's stdout (in which \r is a
//		carriage return), and nothing on
//		its stderr.
//	complains LINE...
//		wants exactly these lines on its stderr, and nothing on its stdout.
//	started MARK, gone MARK
//		wait for a process with this argument to be there, or to have ended.
//	needs TOOL...
//		skips the script where a tool is missing (and fails it where CI=true).
//	needs-there TOOL
//		skips it where the target has no such tool.
//
// $MARK is an argument for processes that no other test has, $PORT is a free
// port, and more variables are given by the test.
func (to Target) Scripts(t *testing.T, pattern string, env ...string) {
	t.Helper()
	EachScript(t, pattern, func(t *testing.T, file string) { to.Script(t, file, env...) })
}

// EachScript runs a parallel test for each script, with the script's name.
func EachScript(t *testing.T, pattern string, test func(t *testing.T, file string)) {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts %s: %v", pattern, err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			t.Parallel()
			test(t, file)
		})
	}
}

// Script runs one testscript against the target; see [Target.Scripts].
func (to Target) Script(t *testing.T, file string, env ...string) {
	t.Helper()
	RunScript(t, file, append(to.Env(), env...), nil)
}

// ScriptCommand is a command for scripts; neg says that a "!" precedes it.
type ScriptCommand = func(ts *testscript.TestScript, neg bool, args []string)

// RunScript runs one testscript with additional commands; for the others see
// [Target.Scripts]. It may enter several targets: see [Target.Use].
func RunScript(t *testing.T, file string, env []string, more map[string]ScriptCommand) {
	t.Helper()
	testscript.RunT(oneScript{t}, scriptParams(t, file, env, more))
}

func scriptParams(t *testing.T, file string, env []string, more map[string]ScriptCommand) testscript.Params {
	own := []string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "TERM=dumb", "MARK=" + Mark(), "PORT=" + FreePort(t)}
	commands := scriptCommands(t)
	maps.Copy(commands, more)
	return testscript.Params{
		Files:           []string{file},
		Deadline:        time.Now().Add(ScriptLimit()),
		ContinueOnError: true,
		Cmds:            commands,
		Setup: func(e *testscript.Env) error {
			e.Vars = append(e.Vars, append(own, env...)...)
			return nil
		},
	}
}

// Use makes this the target that a script enters from now on.
func (to Target) Use(ts *testscript.TestScript) {
	ts.Setenv("PATH", to.Clients+":"+os.Getenv("PATH"))
}

func scriptCommands(t *testing.T) map[string]ScriptCommand {
	return map[string]ScriptCommand{
		"run":       run,
		"prints":    func(ts *testscript.TestScript, _ bool, lines []string) { wantOutput(ts, lines, nil) },
		"complains": func(ts *testscript.TestScript, _ bool, lines []string) { wantOutput(ts, nil, lines) },
		"started":   func(_ *testscript.TestScript, _ bool, mark []string) { AwaitMarked(t, mark[0]) },
		"gone":      func(_ *testscript.TestScript, _ bool, mark []string) { AwaitNoneMarked(t, mark[0]) },
		"needs":     func(_ *testscript.TestScript, _ bool, tools []string) { Need(t, tools...) },
		"needs-there": func(ts *testscript.TestScript, _ bool, tool []string) {
			if ts.Exec("ssh", "h", "command -v "+tool[0]) != nil {
				t.Skip("no " + tool[0] + " at the target")
			}
		},
	}
}

// run is the command run. Its timeout ends everything that the command has started.
func run(ts *testscript.TestScript, neg bool, args []string) {
	want := 0
	if len(args) > 2 && args[0] == "-exit" {
		var err error
		want, err = strconv.Atoi(args[1])
		ts.Check(err)
		args = args[2:]
	}
	if neg || len(args) == 0 {
		ts.Fatalf("usage: run [-exit N] COMMAND...")
	}
	if strings.HasSuffix(args[0], ".sh") {
		args = append([]string{"bash"}, args...)
	}
	limit := strconv.Itoa(int(ScriptLimit().Seconds()))
	err := ts.Exec("timeout", append([]string{"--kill-after=1", limit}, args...)...)
	got := 0
	if exited, ok := errors.AsType[*exec.ExitError](err); ok {
		got = exited.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit %d, want %d", got, want)
	}
}

func wantOutput(ts *testscript.TestScript, stdout, stderr []string) {
	for stream, want := range map[string][]string{"stdout": stdout, "stderr": stderr} {
		got := strings.SplitAfter(ts.ReadFile(stream), "\n")
		got = slices.DeleteFunc(got, func(line string) bool { return line == "" })
		for i := range want {
			want[i] = strings.ReplaceAll(want[i], `\r`, "\r")
			want[i] += "\n"
		}
		if !slices.Equal(got, want) {
			ts.Fatalf("%s is %s, want %s", stream, Brief(strings.Join(got, "")), Brief(strings.Join(want, "")))
		}
	}
}

// oneScript runs a script in the present test instead of a subtest.
type oneScript struct{ *testing.T }

func (s oneScript) Run(_ string, f func(testscript.T)) { f(s) }
func (oneScript) Parallel()                            {}
func (oneScript) Verbose() bool                        { return testing.Verbose() }
