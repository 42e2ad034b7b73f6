package test

import (
	"strings"
	"testing"
)

// oracleCases are bash scripts, in which ssh h enters the target, and how they
// end. The remote shell is bash or zsh.
func oracleCases() []oracleCase {
	return []oracleCase{
		{name: "exit 0", script: `ssh h true`},
		{name: "exit 7", script: `ssh h exit 7`, want: result{exit: 7}},
		{name: "exit 255", script: `ssh h exit 255`, want: result{exit: 255}},
		{name: "killed by a signal", script: `ssh h 'kill -9 $$'`, want: result{exit: 255}},
		{name: "no such command", script: `ssh h 'nonesuch 2>/dev/null'`, want: result{exit: 127}},
		{name: "stdout and stderr are two streams", script: `ssh h 'echo o; echo e >&2; exit 1'`,
			want: result{stdout: "o\n", stderr: "e\n", exit: 1}},
		{name: "shell runs what it reads", script: `echo 'echo in; exit 9' | ssh h`, want: result{stdout: "in\n", exit: 9}},
		{name: "unknown subsystem", script: `ssh -s h nonesuch`,
			want: result{stderr: "subsystem request failed on channel 0\r\n", exit: 255}},

		// Output.
		{name: "large stdout and stderr arrive whole",
			script: `ssh h 'seq 500000 & seq 500000 >&2; wait; exit 7' >out 2>err; echo $?
				cmp out <(seq 500000) && cmp err <(seq 500000)`,
			want: result{stdout: "7\n"}},
		{name: "large stderr arrives whole at a slow reader",
			script: `ssh h 'seq 500000; seq 500000 >&2; exit 7' 2>&1 >out | (sleep 2; cat >err); echo ${PIPESTATUS[0]}
				cmp out <(seq 500000) && cmp err <(seq 500000)`,
			want: result{stdout: "7\n"}},
		{name: "slow reader gets everything and the exit status",
			script: `ssh h 'head -c 10M /dev/zero; exit 7' | (sleep 2; wc -c); echo ${PIPESTATUS[0]}`,
			want:   result{stdout: "10485760\n7\n"}},
		{name: "rekeying on the way",
			script: `head -c 10M /dev/zero | ssh -o RekeyLimit=1M h cat | wc -c`,
			want:   result{stdout: "10485760\n"}},
		{name: "reader goes away", script: `ssh h yes | head -1`, want: result{stdout: "y\n"}},

		// Input.
		{name: "end of input is no hangup", script: `echo in | ssh h 'cat >/dev/null; echo done; exit 3'`,
			want: result{stdout: "done\n", exit: 3}},
		{name: "input that ends at once", script: `ssh h 'cat; exit 3' </dev/null`, want: result{exit: 3}},
		{name: "process reads a line only", script: `yes | ssh h head -1`, want: result{stdout: "y\n"}},
		{name: "process closes its input", script: `yes | ssh h 'exec <&-; sleep 1; exit 4'; echo ${PIPESTATUS[1]}`,
			want: result{stdout: "4\n"}},
		{name: "process reads nothing", script: `head -c 8M /dev/zero | ssh h exit 6; echo ${PIPESTATUS[1]}`,
			want: result{stdout: "6\n"}},

		// A process that closes its output and lives on.
		{name: "stdout closed, input at its end", script: `ssh h 'exec >&-; sleep 1; exit 5' </dev/null`, want: result{exit: 5}},
		{name: "both closed, input at its end", script: `ssh h 'exec >&- 2>&-; sleep 1; exit 6' </dev/null`, want: result{exit: 6}},
		{name: "stdout closed, input open", script: openInput + `ssh h 'exec >&-; sleep 1; exit 5' <&3`, want: result{exit: 5}},
		{name: "both closed, input open", script: openInput + `ssh h 'exec >&- 2>&-; sleep 1; exit 6' <&3`, want: result{exit: 6}},

		// Background processes.
		{name: "background process that holds stdout is waited for", script: `ssh h '(sleep 2; echo later) & echo now'`,
			want: result{stdout: "now\nlater\n"}},
		{name: "background process that holds stderr is waited for", script: `ssh h '(sleep 2; echo later >&2) >/dev/null & exit 2'`,
			want: result{stderr: "later\n", exit: 2}},
		{name: "background process that holds a pty is not waited for",
			script: `ssh -tt h 'trap "" HUP; (sleep 9; echo later) & echo now' </dev/null`,
			want:   result{stdout: "now\r\n"}},

		// Terminals.
		{name: "no pty unless asked for", script: `ssh h tty`, want: result{stdout: "not a tty\n", exit: 1}},
		{name: "pty", script: `ssh -tt h 'tty >/dev/null && [ "$SSH_TTY" = "$(tty)" ]; exit $((7+$?))' </dev/null`, want: result{exit: 7}},
		{name: "terminal type", script: `TERM=xterm-256color ssh -tt h 'echo $TERM' </dev/null`, want: result{stdout: "xterm-256color\r\n"}},
		{name: "killed by a signal on a pty", script: `ssh -tt h 'kill -9 $$' </dev/null`, want: result{exit: 255}},
		{name: "large output of a pty", script: `ssh -tt h 'stty -opost; seq 500000; exit 7' </dev/null >out; echo $?; cmp out <(seq 500000)`,
			want: result{stdout: "7\n"}},

		// Environment.
		{name: "LC_ variables pass", script: `LC_BERTH='a b' ssh -o SendEnv='LC_*' h 'echo "$LC_BERTH"'`, want: result{stdout: "a b\n"}},
		{name: "LANG passes", script: `LANG=C.UTF-8 ssh -o SendEnv=LANG h 'echo "$LANG"'`, want: result{stdout: "C.UTF-8\n"}},
		{name: "LD_PRELOAD does not pass", script: `ssh -o SetEnv=LD_PRELOAD=/nonesuch.so h 'echo "[$LD_PRELOAD]"'`, want: result{stdout: "[]\n"}},
		{name: "BASH_ENV does not pass", script: `ssh -o SetEnv=BASH_ENV=/nonesuch h 'echo "[$BASH_ENV]"'`, want: result{stdout: "[]\n"}},
		{name: "PATH is not the client's", script: `ssh -o SetEnv=PATH=/nonesuch h 'ls -d /'`, want: result{stdout: "/\n"}},
		{name: "what sshd sets is set",
			script: `ssh h 'for v in HOME USER LOGNAME SHELL MAIL PATH; do printenv $v >/dev/null || echo no $v; done
				printenv SSH_CLIENT SSH_CONNECTION | wc -w
				[ "$USER" = "$(id -un)" ] && [ "$LOGNAME" = "$USER" ] && [ "$HOME" = "$PWD" ]'`,
			want: result{stdout: "7\n"}},

		// What a process is born with.
		{name: "command's shell is plain", script: `ssh h '[ "$0" = "${SHELL##*/}" ]'`},
		{name: "shell alone is a login shell", script: `echo '[ "$0" = "-${SHELL##*/}" ]' | ssh h`},
		{name: "umask", script: `ssh h 'sh -c umask'`, want: result{stdout: "0022\n"}},
		{name: "no descriptor leaks in", script: `ssh h 'exec ls /proc/self/fd'`, want: result{stdout: "0\n1\n2\n3\n"}},
		{name: "no signal is ignored or blocked", script: `
			own=0x$(grep SigIgn /proc/self/status | cut -f2) # whoever started the tests may ignore some
			ssh h 'exec grep -E "Sig(Blk|Ign)" /proc/self/status' | while read name mask; do echo $name $((0x$mask & ~own)); done`,
			want: result{stdout: "SigBlk: 0\nSigIgn: 0\n"}},

		// Commands reach the shell as they are.
		{name: "quotes and newlines", script: `ssh h $'printf "%s\n" \'a  b\' "c\'d" "e\nf" \'$x\''`,
			want: result{stdout: "a  b\nc'd\ne\nf\n$x\n"}},
		{name: "64 KiB command", script: `ssh h "echo $(head -c 64K /dev/zero | tr '\0' x)" | wc -c`, want: result{stdout: "65537\n"}},
		{name: "empty lines around", script: "ssh h $'\\n\\nexit 8\\n'", want: result{exit: 8}},
	}
}

// openInput makes descriptor 3 an input that never ends.
const openInput = "mkfifo in; exec 3<>in; "

type oracleCase struct {
	name   string
	script string
	want   result
}

func (to target) oracle(t *testing.T) { to.ask(t, oracleCases()) }

func (to target) ask(t *testing.T, cases []oracleCase) {
	for _, c := range cases {
		t.Run(strings.ReplaceAll(c.name, " ", "_"), func(t *testing.T) {
			t.Parallel()
			check(t, c.script, to.run(t, c.script), c.want)
		})
	}
}
