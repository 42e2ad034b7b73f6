package test

import "testing"

// multiplexing is many sessions on one connection.
func (to target) multiplexing(t *testing.T) {
	t.Run("twenty_sessions_and_their_exit_codes", func(t *testing.T) {
		t.Parallel()
		to.want(t, master+`
			for i in $(seq 20); do ssh -S ctl h "echo $i; exec >&-; sleep 0.3; exit $i" >out.$i & pids[i]=$!; done
			for i in $(seq 20); do wait ${pids[i]}; echo "$? $(cat out.$i)"; done >codes
			awk '$1 == $2' codes | wc -l`,
			"20\n")
	})
	t.Run("output_of_one_does_not_stop_the_others", func(t *testing.T) {
		t.Parallel()
		to.want(t, master+`
			mkfifo stuck && exec 4<>stuck
			ssh -S ctl h 'head -c 50M /dev/zero' >stuck & p=$!
			for i in 1 2 3; do ssh -S ctl h "seq 100000" | tail -1; done
			kill $p`,
			"100000\n100000\n100000\n")
	})
	t.Run("input_of_one_does_not_stop_the_others", func(t *testing.T) {
		t.Parallel()
		m := mark()
		to.want(t, master+`
			head -c 50M /dev/zero 2>/dev/null | ssh -S ctl h "sleep `+m+`" & p=$!
			for i in 1 2 3; do seq 100000 | ssh -S ctl h "tail -1"; done
			kill $p; wait $p 2>/dev/null; ssh h "pkill -fx 'sleep `+m+`'"`,
			"100000\n100000\n100000\n")
	})
	t.Run("one_killed_session_leaves_the_others", func(t *testing.T) {
		t.Parallel()
		m := mark()
		to.want(t, master+`
			ssh -S ctl -tt h "sleep `+m+`" </dev/null >/dev/null 2>&1 & a=$!
			ssh -S ctl h 'read x; echo $x; exit 3' < <(tail -f /dev/null --pid=$a; echo alive) & b=$!
			while kill -0 $a && ! pgrep -fx "sleep `+m+`" >/dev/null; do sleep 0.1; done
			kill -9 $a; wait $a 2>/dev/null; wait $b; echo $?`,
			"alive\n3\n")
		awaitNoneMarked(t, m)
	})
	t.Run("forward_is_added_and_cancelled", func(t *testing.T) {
		t.Parallel()
		to.want(t, master+`
			listening() { ssh -S ctl h "grep -c ' 0100007F:$(printf %04X $PORT) .* 0A ' /proc/net/tcp" || :; }
			ssh -S ctl -O forward -R $PORT:127.0.0.1:1 h && listening
			ssh -S ctl -O cancel  -R $PORT:127.0.0.1:1 h && listening`,
			"1\n0\n", "PORT="+freePort(t))
	})
}

// master starts a connection that others share, and ends it with the script.
const master = `
ssh -M -S ctl -fN h && trap 'ssh -S ctl -O exit h 2>/dev/null' EXIT
`
