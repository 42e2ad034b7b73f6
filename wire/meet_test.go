package wire

import (
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/ssh"
)

const ourVersion = "SSH-2.0-ours"

// kexInit returns the first packet of a client with these ciphers.
func kexInit(ciphers ...string) string {
	payload := ssh.Marshal(struct {
		Cookie                               [16]byte `sshtype:"20"`
		KexAlgos, HostKeys, ToServer, ToHere []string
		MACs, MACsHere, Zip, ZipHere         []string
		Lang, LangHere                       []string
		Follows                              bool
		Reserved                             uint32
	}{KexAlgos: []string{"curve25519-sha256"}, HostKeys: []string{"ssh-ed25519"}, ToServer: ciphers, ToHere: ciphers})
	padding := 8 - (5+len(payload))%8 + 8
	packet := append([]byte{0, 0, 0, 0, byte(padding)}, payload...)
	packet = append(packet, make([]byte, padding)...)
	packet[2], packet[3] = byte((len(packet)-4)>>8), byte(len(packet)-4)
	return string(packet)
}

// meet lets a client write to a Conn that runs Meet, and then hang up. It returns
// Meet's results and duration, and what x/crypto could read afterwards.
func meet(t *testing.T, client func(peer net.Conn)) (hello Hello, took time.Duration, said string, err error) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w, peer := unreadWire(t)
		heard := make(chan string)
		go func() {
			all, _ := io.ReadAll(peer)
			heard <- string(all)
		}()
		gone := make(chan struct{})
		go func() {
			defer close(gone)
			client(peer)
		}()
		began := time.Now()
		hello, err = w.Meet(ourVersion, began.Add(time.Minute))
		took = time.Since(began)
		w.Close()
		said = <-heard
		peer.Close()
		<-gone
	})
	return hello, took, said, err
}

func TestAClientIsHeardBeforeAnythingIsOfferedToIt(t *testing.T) {
	hello, took, said, err := meet(t, func(peer net.Conn) {
		io.WriteString(peer, "SSH-2.0-theirs with a comment\r\n"+kexInit("a", "b"))
	})
	if err != nil || hello.Version != "SSH-2.0-theirs with a comment" || !slices.Equal(hello.ToServer, []string{"a", "b"}) || !slices.Equal(hello.ToClient, hello.ToServer) {
		t.Errorf("heard %+v, %v", hello, err)
	}
	if said != ourVersion+"\r\n" || took != 0 {
		t.Errorf("said %q and waited %v", said, took)
	}
}

func TestAClientThatWaitsForOurKexInitIsNotWaitedFor(t *testing.T) {
	hello, took, _, err := meet(t, func(peer net.Conn) { io.WriteString(peer, "SSH-2.0-theirs\n") })
	if err != nil || hello.Version != "SSH-2.0-theirs" || hello.ToServer != nil {
		t.Errorf("heard %+v, %v", hello, err)
	}
	if took != kexInitPatience {
		t.Errorf("waited %v", took)
	}
}

func TestAClientOfOneByteASecondIsHeard(t *testing.T) {
	hello, took, _, err := meet(t, func(peer net.Conn) {
		for _, b := range []byte("SSH-2.0-theirs\r\n" + kexInit("a")) {
			if _, err := peer.Write([]byte{b}); err != nil {
				return
			}
			time.Sleep(time.Second)
		}
	})
	if err != nil || hello.Version != "SSH-2.0-theirs" || hello.ToServer != nil {
		t.Errorf("heard %+v, %v", hello, err)
	}
	if took != 15*time.Second+kexInitPatience {
		t.Errorf("waited %v", took)
	}
}

func TestAVersionLineIsWaitedForUntilTheDeadline(t *testing.T) {
	_, took, _, err := meet(t, func(peer net.Conn) { io.WriteString(peer, "SSH-2.0-") })
	if !errors.Is(err, os.ErrDeadlineExceeded) || took != time.Minute {
		t.Errorf("%v after %v", err, took)
	}
}

// Scanners must not hold the places of people who log in. The replies are
// those of OpenSSH's sshd.
func TestAPeerThatDoesNotSpeakSSH2IsRefusedAtOnce(t *testing.T) {
	const invalid, differ = "Invalid SSH identification string.\r\n", "Protocol major versions differ.\r\n"
	for said, want := range map[string]string{
		"\n": invalid, "GET / HTTP/1.0\r\n\r\n": invalid, "\x16\x03\x01": invalid, "hello\nSSH-2.0-x\r\n": invalid,
		"SSH\n": invalid, "SSH-2.0\r\n": invalid, "SSH-2.0-\r\n": invalid, "SSH-2-x\r\n": invalid, "SSH-" + strings.Repeat("x", 300): invalid,
		"SSH-1.5-x\r\n": differ, "SSH-9.9-x\n": differ,
	} {
		_, took, answer, err := meet(t, func(peer net.Conn) { io.WriteString(peer, said) })
		if refused := (*notSSH2)(nil); !errors.As(err, &refused) || took != 0 || answer != ourVersion+"\r\n"+want {
			t.Errorf("%q: %v after %v, told %q", said, err, took, answer)
		}
	}
}

// x/crypto must read every byte that Meet has looked at, and its own version line
// must not be sent a second time: both are part of what the two sides sign. A lost or
// repeated packet would break strict key exchange, which both sides use here.
func TestAKeyExchangeFollowsAMeeting(t *testing.T) {
	_, key, _ := ed25519.GenerateKey(rand.Reader)
	hostKey, _ := ssh.NewSignerFromKey(key)
	config := &ssh.ServerConfig{NoClientAuth: true, ServerVersion: ourVersion}
	config.AddHostKey(hostKey)
	for name, unread := range map[string]func(net.Conn) net.Conn{
		"over TCP":        func(c net.Conn) net.Conn { return c },
		"by a lone Read":  func(c net.Conn) net.Conn { return struct{ net.Conn }{c} },
		"in single bytes": func(c net.Conn) net.Conn { return bytewise{c} },
		"of who waits":    func(c net.Conn) net.Conn { return &patient{Conn: c, answered: make(chan struct{})} },
	} {
		t.Run(name, func(t *testing.T) {
			ours, theirs := tcpPair(t)
			met := make(chan error, 1)
			go func() {
				w := new(Pool).New(ours)
				defer w.Close()
				_, err := w.Meet(ourVersion, time.Now().Add(10*time.Second))
				if err == nil {
					_, _, _, err = ssh.NewServerConn(w, config)
				}
				met <- err
			}()
			conn, _, _, err := ssh.NewClientConn(unread(theirs), "", &ssh.ClientConfig{HostKeyCallback: ssh.FixedHostKey(hostKey.PublicKey())})
			if err != nil || string(conn.ServerVersion()) != ourVersion {
				t.Fatalf("the client: %v", err)
			}
			if err := <-met; err != nil {
				t.Errorf("the server: %v", err)
			}
			conn.Close()
		})
	}
}

// bytewise writes one byte at a time.
type bytewise struct{ net.Conn }

func (b bytewise) Write(p []byte) (int, error) {
	for i := range p {
		if _, err := b.Conn.Write(p[i : i+1]); err != nil {
			return i, err
		}
	}
	return len(p), nil
}

// patient sends its KEXINIT, its second write, only after it has received the
// server's.
type patient struct {
	net.Conn
	read, writes int
	answered     chan struct{} // closed when more than the version line was read
}

func (p *patient) Read(b []byte) (int, error) {
	const line = len(ourVersion + "\r\n")
	n, err := p.Conn.Read(b)
	if p.read <= line && p.read+n > line {
		close(p.answered)
	}
	p.read += n
	return n, err
}

func (p *patient) Write(b []byte) (int, error) {
	if p.writes++; p.writes == 2 {
		<-p.answered
	}
	return p.Conn.Write(b)
}

func FuzzHello(f *testing.F) {
	f.Add([]byte("SSH-2.0-x\r\n" + kexInit("aes128-gcm@openssh.com")))
	f.Add([]byte("SSH-1.99-x\n" + kexInit()))
	f.Add([]byte("GET / HTTP/1.0\r\n"))
	f.Add([]byte("SSH-2.0-x\r\n\x00\x00\x00\x1c\x04\x14"))
	f.Fuzz(func(t *testing.T, p []byte) {
		version, n, err := parseVersion(p)
		if errors.Is(err, errIncomplete) && len(p) >= maxVersion {
			t.Errorf("waits for more than %d bytes", len(p))
		}
		if err != nil {
			return
		}
		if n > len(p) || n > maxVersion || !strings.HasPrefix(string(p), version) || strings.Contains(version, "\n") {
			t.Errorf("version %q in %d bytes", version, n)
		}
		var hello Hello
		err = hello.parseKexInit(p[n:])
		toServer, toClient := hello.ToServer, hello.ToClient
		if errors.Is(err, errIncomplete) && len(p)-n >= 4+maxPacket {
			t.Errorf("waits for more than %d bytes", len(p)-n)
		}
		if size := len(strings.Join(toServer, ",")) + len(strings.Join(toClient, ",")); size > len(p) {
			t.Errorf("%d bytes of names in %d", size, len(p))
		}
	})
}
