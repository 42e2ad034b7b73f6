package parity

import (
	"io"
	"net"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/berth-ssh/berth/test/harness"
)

// TestCiphers asks which cipher clients end at: the fast one, unless they ask
// for another, whether they speak first or wait for the gateway to.
func TestCiphers(t *testing.T) {
	t.Parallel()
	harness.Need(t, "/usr/sbin/sshd", "ssh", "ssh-keygen")
	local := harness.StartMachine(t).Local
	for option, want := range map[string]string{
		"-4":                        "aes128-gcm@openssh.com",
		"-c aes256-gcm@openssh.com": "aes256-gcm@openssh.com",
		"-c aes128-ctr":             "aes128-ctr",
		"-c aes256-ctr,chacha20-poly1305@openssh.com":         "aes256-ctr",
		"-c chacha20-poly1305@openssh.com,aes128-ctr":         "aes128-ctr",
		"-c chacha20-poly1305@openssh.com":                    "chacha20-poly1305@openssh.com",
		"-c aes128-ctr,aes256-gcm@openssh.com":                "aes256-gcm@openssh.com",
		"-o RekeyLimit=1M -c aes128-gcm@openssh.com,3des-cbc": "aes128-gcm@openssh.com",
	} {
		t.Run(option, func(t *testing.T) { endsAt(t, local, option, want) })
	}
	t.Run("a_client_that_waits_for_the_gateway", func(t *testing.T) { waitsForKexInit(t, local) })
	t.Run("scanners_are_hung_up_on", func(t *testing.T) { hangsUp(t, local) })
}

func endsAt(t *testing.T, to harness.Target, option, want string) {
	got := to.Run(t, "ssh -v "+option+" h 'head -c 3M /dev/zero | sha256sum'")
	if got.Exit != 0 || got.Stdout != to.Run(t, "head -c 3M /dev/zero | sha256sum").Stdout {
		t.Fatalf("exit %d: %s\n%s", got.Exit, got.Stdout, got.Stderr)
	}
	for _, cipher := range regexp.MustCompile(`kex: \S+ cipher: (\S+)`).FindAllStringSubmatch(got.Stderr, -1) {
		if cipher[1] != want {
			t.Errorf("the cipher is %s, want %s", cipher[1], want)
		}
	}
}

// waitsForKexInit logs in as clients do that send nothing but their version
// line before they have the server's KEXINIT.
func waitsForKexInit(t *testing.T, to harness.Target) {
	raw, err := net.Dial("tcp", to.Address)
	if err != nil {
		t.Fatal(err)
	}
	client, err := to.LogIn(t, &waiting{Conn: raw, answered: make(chan struct{})})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	wantAlive(t, client)
}

// waiting holds back its second write until more than a line was read.
type waiting struct {
	net.Conn
	writes   int
	line     bool
	after    bool
	answered chan struct{}
}

func (w *waiting) Read(p []byte) (int, error) {
	n, err := w.Conn.Read(p)
	if n > 0 && w.line && !w.after {
		w.after = true
		close(w.answered)
	}
	w.line = w.line || strings.Contains(string(p[:n]), "\n")
	return n, err
}

func (w *waiting) Write(p []byte) (int, error) {
	if w.writes++; w.writes == 2 {
		<-w.answered
	}
	return w.Conn.Write(p)
}

// Each scanner would hold one of the places of those who have not logged in.
func hangsUp(t *testing.T, to harness.Target) {
	for said, want := range map[string]string{
		"\n":                     "Invalid SSH identification string.\r\n",
		"GET / HTTP/1.0\r\n\r\n": "Invalid SSH identification string.\r\n",
		"SSH-1.5-x\r\n":          "Protocol major versions differ.\r\n",
	} {
		raw, err := net.Dial("tcp", to.Address)
		if err != nil {
			t.Fatal(err)
		}
		defer raw.Close()
		raw.SetDeadline(time.Now().Add(harness.Patience))
		io.WriteString(raw, said)
		answer, err := io.ReadAll(raw)
		if _, told, _ := strings.Cut(string(answer), "\r\n"); told != want || err != nil {
			t.Errorf("%q is told %q, %v", said, told, err)
		}
	}
}
