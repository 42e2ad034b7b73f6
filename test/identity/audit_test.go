package identity

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/berth-ssh/berth/test/harness"
)

// event is a line of the audit file.
type event map[string]any

// audited is a lab with an audit file.
type audited struct {
	*lab
	file string
}

func startAudited(t *testing.T) audited {
	t.Helper()
	file := filepath.Join(t.TempDir(), "audit.jsonl")
	l := startLab(t, "audit: {file: "+file+"}")
	l.guest(t, "keys: ['"+harness.PublicKey(t, l.key)+"']")
	return audited{l, file}
}

func (a audited) events(t *testing.T) []event {
	t.Helper()
	var all []event
	for line := range strings.Lines(harness.Read(t, a.file)) {
		var e event
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		all = append(all, e)
	}
	return all
}

// await waits for an event with some fields.
func (a audited) await(t *testing.T, fields ...string) event {
	t.Helper()
	var found event
	harness.Eventually(t, "the audit file to have "+strings.Join(fields, " "), func() bool {
		all := a.events(t)
		i := slices.IndexFunc(all, func(e event) bool { return e.has(fields) })
		if i >= 0 {
			found = all[i]
		}
		return i >= 0
	})
	return found
}

func (e event) has(fields []string) bool {
	return !slices.ContainsFunc(fields, func(field string) bool {
		name, value, _ := strings.Cut(field, "=")
		return fmt.Sprint(e[name]) != value
	})
}

// What real clients do, on both mechanisms, is in the audit file: files by sftp and
// by scp, forwards with their bytes, listeners and who comes to them, the agent.
func TestWhatClientsDoIsWrittenDown(t *testing.T) {
	a := startAudited(t)
	for _, door := range a.doors(t, a.key) {
		host := "host=" + strings.TrimSuffix(door.Name, "_options")
		t.Run(host, func(t *testing.T) {
			far := t.TempDir()
			await := func(fields ...string) event {
				t.Helper()
				return a.await(t, append(fields, host, "user=guest")...)
			}
			door.Want(t, "head -c 100000 /dev/zero >up && scp -q up h:"+far+"/by-sftp && scp -q h:"+far+"/by-sftp down && wc -c <down", "100000\n")
			await("event=file", "by=sftp", "action=upload", "path="+far+"/by-sftp", "bytes=100000", "failed=false", "cut=false")
			await("event=file", "by=sftp", "action=download", "path="+far+"/by-sftp", "bytes=100000", "failed=false", "cut=false")
			door.Want(t, "head -c 12345 /dev/zero >up && scp -O -q up h:"+far+"/by-scp && scp -O -q h:"+far+"/by-scp down && wc -c <down", "12345\n")
			await("event=file", "by=scp", "action=upload", "path=up", "bytes=12345")
			await("event=file", "by=scp", "action=download", "path=by-scp", "bytes=12345")
			door.Want(t, "printf 'mkdir %s\\nrename %s %s\\nrm %s\\n' "+far+"/d "+far+"/by-scp "+far+"/d/x "+far+"/d/x | sftp -q -b - h >/dev/null", "")
			await("event=file", "action=mkdir", "path="+far+"/d")
			await("event=file", "action=rename", "path="+far+"/by-scp", "to="+far+"/d/x")
			await("event=file", "action=remove", "path="+far+"/d/x", "failed=false")

			door.Want(t, "ssh -W "+a.SSHD.Address+" h </dev/null | head -c 8", "SSH-2.0-")
			forward := await("event=forward", "to="+a.SSHD.Address)
			if ended := await("event=forward_ended", fmt.Sprint("forward=", forward["forward"]), fmt.Sprint("conn=", forward["conn"])); ended["down"].(float64) < 8 {
				t.Errorf("%v", ended)
			}

			door.Want(t, "ssh h 'exit 3' || echo $?", "3\n")
			command := await("event=session", "kind=exec", "command=exit 3", "pty=false")
			ended := await("event=session_ended", fmt.Sprint("conn=", command["conn"]), "exit=3")
			if _, isThere := ended["seconds"]; !isThere {
				t.Errorf("%v", ended)
			}
			await("event=left", fmt.Sprint("conn=", command["conn"]))
		})
	}
}

// The host's use of what a client offers: its agent, and a listener.
func TestWhatAHostUsesIsWrittenDown(t *testing.T) {
	harness.Need(t, "ssh-agent", "ssh-add")
	a := startAudited(t)
	for _, door := range a.doors(t, a.key) {
		host := "host=" + strings.TrimSuffix(door.Name, "_options")
		t.Run(host, func(t *testing.T) {
			if got := door.Run(t, "ssh-agent sh -c 'ssh-add -q "+a.key+" && ssh -A h ssh-add -l'"); !strings.Contains(got.Stdout, "ED25519") {
				t.Fatalf("the agent: %+v", got)
			}
			used := a.await(t, "event=used", "what=agent", host)
			a.await(t, "event=lent", "what=agent", host, fmt.Sprint("conn=", used["conn"]))
			if ended := a.await(t, "event=forward_ended", host, fmt.Sprint("conn=", used["conn"])); ended["up"].(float64) == 0 {
				t.Errorf("%v", ended)
			}

			port := harness.FreePort(t)
			listening := door.Forward(t, "-R", "127.0.0.1:"+port+":"+a.SSHD.Address)
			harness.Eventually(t, "the listener to answer", func() bool { return harness.Answers("127.0.0.1:" + port) })
			a.await(t, "event=listener", "at=127.0.0.1:"+port, host)
			from := a.await(t, "event=used", "what=listener", host, "at=127.0.0.1:"+port)["from"]
			if !strings.HasPrefix(fmt.Sprint(from), "127.0.0.1:") {
				t.Errorf("from %v", from)
			}
			listening.Kill()
		})
	}
}

// What a reload changes, and on whose behalf.
func TestWhatAReloadChangesIsWrittenDown(t *testing.T) {
	a := startAudited(t)
	a.await(t, "event=changed", "by=gateway reload", "what=user", "user=guest", "change=added")
	a.await(t, "event=changed", "what=grant", "of=box", "user=guest", "change=added", "line="+a.team+":3")
	a.await(t, "event=changed", "what=key", "user=guest", "change=added")
	harness.Write(t, a.team, 0o600, "users:\n")
	a.await(t, "event=changed", "by=watch", "what=user", "user=guest", "change=removed")
}
