package attack

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/berth-ssh/berth/test/harness"
	"github.com/berth-ssh/berth/test/harness/peer"

	"golang.org/x/crypto/bcrypt"
	"golang.org/x/crypto/ssh"
)

// What people are promised while the gateway is flooded, on two processors.
const (
	keyLogin        = time.Second
	passwordLogin   = 5 * time.Second
	besideAttacker  = 10 * time.Second // a login from the attacker's own address
	echoOfLive      = 20 * time.Millisecond
	floodLength     = 10 * time.Second
	attackers       = "127.0.0.2"
	devPassword     = "dev's own"
	flooders        = 40
	floodersAddress = 6
)

// flooded is a gateway, with people and attackers.
type flooded struct {
	*harness.Gateway
	key  ssh.Signer
	user string       // whose passwords are tried
	sent atomic.Int64 // what the attackers did
}

// from connects and logs in from an address of this machine.
func (f *flooded) from(ctx context.Context, ip string, config ssh.ClientConfig) (*ssh.Client, error) {
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(ip)}}
	raw, err := dialer.DialContext(ctx, "tcp", f.Address)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { raw.Close() })
	defer stop()
	config.HostKeyCallback = ssh.InsecureIgnoreHostKey()
	conn, channels, requests, err := ssh.NewClientConn(raw, f.Address, &config)
	if err != nil {
		raw.Close()
		return nil, err
	}
	return ssh.NewClient(conn, channels, requests), nil
}

// idle holds connections of six addresses, and renews each that is closed.
func (f *flooded) idle(ctx context.Context, i int) {
	var all sync.WaitGroup
	defer all.Wait()
	for range 300 / flooders {
		all.Go(func() {
			for ctx.Err() == nil {
				dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(2+i%floodersAddress))}}
				raw, err := dialer.DialContext(ctx, "tcp", f.Address)
				if err != nil {
					continue
				}
				f.sent.Add(1)
				stop := context.AfterFunc(ctx, func() { raw.Close() })
				io.Copy(io.Discard, raw)
				stop()
				raw.Close()
				pause(ctx, 50*time.Millisecond)
			}
		})
	}
}

// passwords tries wrong ones of the user that is flooded.
func (f *flooded) passwords(ctx context.Context, _ int) {
	for ctx.Err() == nil {
		wrong := ssh.PasswordCallback(func() (string, error) {
			f.sent.Add(1)
			return "wrong", ctx.Err()
		})
		if client, err := f.from(ctx, attackers, ssh.ClientConfig{User: f.user + "+here", Auth: []ssh.AuthMethod{ssh.RetryableAuthMethod(wrong, 10)}}); err == nil {
			client.Close()
		}
		pause(ctx, 200*time.Millisecond)
	}
}

// exchange sends the messages of one kind of key exchange, ready-made, so that only
// the gateway computes.
func exchange(kex string) func(*flooded, context.Context, int) {
	return func(f *flooded, ctx context.Context, _ int) {
		messages, err := peer.ReadyMade(kex)
		if err != nil {
			panic(err)
		}
		dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(attackers)}}
		for ctx.Err() == nil {
			raw, err := dialer.DialContext(ctx, "tcp", f.Address)
			if err != nil {
				pause(ctx, 50*time.Millisecond)
				continue
			}
			raw.(*net.TCPConn).SetLinger(0) // its port is free again at once
			stop := context.AfterFunc(ctx, func() { raw.Close() })
			if peer.SendReadyMade(raw, messages) == nil {
				f.sent.Add(1)
			}
			stop()
			raw.Close()
		}
	}
}

// pause is the pace of an attacker.
func pause(ctx context.Context, length time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(length):
	}
}

// TestFloods floods a gateway as strangers do and logs in beside it. It measures
// this machine, and so runs where nothing else does: in make soak.
func TestFloods(t *testing.T) {
	if !harness.Soaking() {
		t.Skip("only in make soak, which sets " + harness.EnvSoak)
	}
	dir := t.TempDir()
	key := harness.MakeKey(t, dir, "id")
	text, err := os.ReadFile(key)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.ParsePrivateKey(text)
	if err != nil {
		t.Fatal(err)
	}
	bcrypted, err := bcrypt.GenerateFromPassword([]byte(devPassword), 12)
	if err != nil {
		t.Fatal(err)
	}
	argon := harness.HashOf(t, devPassword)
	for _, flood := range []struct {
		name string
		hash string // of the user who is flooded
		run  func(*flooded, context.Context, int)
	}{
		{"undisturbed", argon, nil},
		{"idle_strangers", argon, (*flooded).idle},
		{"passwords", argon, (*flooded).passwords},
		{"undisturbed_with_bcrypt", string(bcrypted), nil},
		{"passwords_with_bcrypt", string(bcrypted), (*flooded).passwords},
		{ssh.KeyExchangeMLKEM768X25519, argon, exchange(ssh.KeyExchangeMLKEM768X25519)},
		{ssh.KeyExchangeCurve25519, argon, exchange(ssh.KeyExchangeCurve25519)},
		{ssh.KeyExchangeECDHP256, argon, exchange(ssh.KeyExchangeECDHP256)},
		{ssh.KeyExchangeECDHP384, argon, exchange(ssh.KeyExchangeECDHP384)},
		{ssh.KeyExchangeECDHP521, argon, exchange(ssh.KeyExchangeECDHP521)},
	} {
		t.Run(flood.name, func(t *testing.T) {
			f := &flooded{Gateway: harness.StartGateway(t, t.TempDir(), people(t, key, argon, flood.hash)), key: signer, user: "old"}
			echo := f.startEcho(t)
			ctx, stop := context.WithCancel(t.Context())
			var all sync.WaitGroup
			defer all.Wait()
			defer stop()
			if flood.run != nil {
				for i := range flooders {
					all.Go(func() { flood.run(f, ctx, i) })
				}
			}
			pause(ctx, 3*time.Second) // the flood is under way
			f.measure(t, echo)
		})
	}
}

// people is a configuration of two users, and of old, who is flooded.
func people(t *testing.T, key, hash, oldHash string) string {
	config := "users:\n"
	for user, hash := range map[string]string{"dev": hash, "bob": hash, "old": oldHash} {
		config += fmt.Sprintf("  %s: { keys: [ %s ], password: %q, hosts: { here: } }\n", user, harness.PublicKey(t, key), hash)
	}
	return config + "hosts: { here: { route: local } }\n"
}

// measure logs in in every way, and wants what is promised.
func (f *flooded) measure(t *testing.T, echo func() time.Duration) {
	before, began, cpu := f.sent.Load(), time.Now(), f.cpuTime(t)
	var echoes []time.Duration
	for end := time.Now().Add(floodLength); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		echoes = append(echoes, echo())
	}
	length := time.Since(began).Seconds()
	rate, cores := float64(f.sent.Load()-before)/length, (f.cpuTime(t)-cpu).Seconds()/length
	slices.Sort(echoes)
	byKey, byPassword := []ssh.AuthMethod{ssh.PublicKeys(f.key)}, []ssh.AuthMethod{ssh.Password(devPassword)}
	line := fmt.Sprintf("attacks %.0f/s; the gateway takes %.2f cores; echo p90 %v", rate, cores, echoes[len(echoes)*9/10].Round(10*time.Microsecond))
	if p90 := echoes[len(echoes)*9/10]; p90 > echoOfLive {
		t.Errorf("echo p90 %v", p90)
	}
	for _, login := range []struct {
		what, ip, user string
		by             []ssh.AuthMethod
		within         time.Duration
	}{
		{"key", "127.0.0.1", "dev", byKey, keyLogin},
		{"password", "127.0.0.1", "dev", byPassword, passwordLogin},
		{"key beside the attacker", attackers, "dev", byKey, besideAttacker},
		{"another's password beside the attacker", attackers, "bob", byPassword, besideAttacker},
	} {
		worst := time.Duration(0)
		for range 5 {
			began := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), harness.Patience)
			client, err := f.from(ctx, login.ip, ssh.ClientConfig{User: login.user + "+here", Auth: login.by})
			cancel()
			if err != nil {
				t.Errorf("%s: %v", login.what, err)
				continue
			}
			client.Close()
			worst = max(worst, time.Since(began))
		}
		if worst > login.within {
			t.Errorf("%s: %v", login.what, worst)
		}
		line += fmt.Sprintf("; by %s %v", login.what, worst.Round(time.Millisecond))
	}
	t.Log(line)
}

// cpuTime is how long the gateway has computed until now, in both of its processes.
func (f *flooded) cpuTime(t *testing.T) (all time.Duration) {
	t.Helper()
	for _, p := range f.Processes(t) {
		all += p.CPUTime(t)
	}
	return all
}

// startEcho logs in and returns what sends a byte and waits until it is back.
func (f *flooded) startEcho(t *testing.T) func() time.Duration {
	client, err := f.from(t.Context(), "127.0.0.1", ssh.ClientConfig{User: "dev+here", Auth: []ssh.AuthMethod{ssh.PublicKeys(f.key)}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	session, err := client.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	in, err := session.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := session.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := session.Start("cat"); err != nil {
		t.Fatal(err)
	}
	return func() time.Duration {
		began := time.Now()
		one := []byte{'x'}
		if _, err := in.Write(one); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(out, one); err != nil {
			t.Fatal(err)
		}
		return time.Since(began)
	}
}
