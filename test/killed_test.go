package test

import (
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// killer starts clients of every kind and kills each a moment later: while it
// logs in, while it starts, while it works.
const killer = `
	mkfifo in; exec 3<>in
	start() {
		exec <&3 >/dev/null 2>&1
		case $((RANDOM % 6)) in
			0) exec ssh -tt h "exec -a $MARK cat" ;;
			1) exec ssh h "exec -a $MARK cat" ;;
			2) exec ssh h "exec -a $MARK yes" ;;
			3) exec ssh -A h "exec -a $MARK cat" ;;
			4) exec ssh -N -R 0:127.0.0.1:1 -R /tmp/$MARK.$BASHPID:/nonesuch -L 0:127.0.0.1:1 h ;;
			5) exec sftp -q h ;;
		esac
	}
	kill_some() {
		for _ in {1..20}; do
			start & client=$!
			sleep 0.$((RANDOM % 5))$((RANDOM % 10))
			kill -9 $client; wait $client
		done 2>/dev/null
	}
	for worker in {1..8}; do kill_some & workers[worker]=$!; done
	wait ${workers[@]}
	:`

// TestKilled kills clients at random points. What they had in the container
// must be gone as it would be with an sshd, and no zombie must be there, though
// the container's first process reaps none.
func TestKilled(t *testing.T) {
	need(t, "ssh", "sftp", "ssh-agent")
	l := startLab(t, place{mounted: true})
	l.door.killed(t, l.container)
}

func (to target) killed(t *testing.T, container string) {
	to.want(t, "ssh h true", "")
	m := mark()
	for range load(1, 7) { // of 160 clients
		to.want(t, withAgent+killer, "", "MARK="+m)
	}
	awaitNoneMarked(t, m)
	left := regexp.MustCompile(`defunct|sftp-server|` + regexp.QuoteMeta(m))
	await(t, "everything of the clients to be gone", func() bool { return !left.MatchString(processesIn(t, container)) })
	if len(helpersIn(t, container)) != 1 {
		t.Errorf("want one helper:\n%s", processesIn(t, container))
	}
	files := func() string {
		return must(t, exec.Command("docker", "exec", container, "sh", "-c", "ls -d /tmp/* 2>/dev/null || :"))
	}
	await(t, "agents' and forwards' sockets to be gone", func() bool { return !strings.Contains(files(), "ssh-") && !strings.Contains(files(), m) })
}
