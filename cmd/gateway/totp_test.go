package main

import (
	"bytes"
	"encoding/base32"
	"image"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"rsc.io/qr"

	"github.com/berth-ssh/berth/totp"
)

func totpConfig(t *testing.T) (path, stateDir string) {
	t.Helper()
	dir := t.TempDir()
	stateDir = filepath.Join(dir, "state")
	path = filepath.Join(dir, "gateway.yaml")
	text := "state: " + stateDir + "\nlogin:\n  - {users: [dev], with: [key+totp]}\nusers:\n" +
		"  dev: {keys: [ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINr702E6d/Tw4stB5/DlsS1v96LVVYnwsUka9Y8sKic1], hosts: {a: }}\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path, stateDir
}

var secretLine = regexp.MustCompile(`(?m)^secret: ([A-Z2-7]+)$`)

func TestEnrollingByTheCommand(t *testing.T) {
	path, stateDir := totpConfig(t)
	var warned bytes.Buffer
	check := newCommand()
	check.SetArgs([]string{"check", "--config", path})
	check.SetOut(&bytes.Buffer{})
	check.SetErr(&warned)
	if err := check.Execute(); err != nil || !strings.Contains(warned.String(), "user dev must show a code to log in, and has no authenticator; run: berth-gateway totp dev") {
		t.Errorf("%v, %s", err, warned.String())
	}

	for _, tt := range []struct {
		args  []string
		right bool
		want  string
	}{
		{[]string{"nobody"}, true, `there is no user "nobody"`},
		{[]string{"dev"}, false, "nothing was changed: this is not the code of the moment"},
		{[]string{"dev"}, true, ""},
		{[]string{"dev"}, true, "dev has an authenticator already; to replace it"},
		{[]string{"dev", "--replace"}, true, ""},
		{[]string{"dev", "--remove"}, true, ""},
		{[]string{"dev", "--remove"}, true, "dev has no authenticator"},
	} {
		var out bytes.Buffer
		command := newCommand()
		command.SetArgs(append([]string{"totp", "--config", path}, tt.args...))
		command.SetOut(&out)
		command.SetIn(&typist{shown: &out, right: tt.right})
		err := command.Execute()
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%v: %v", tt.args, err)
		}
		if enrolls := err == nil && !strings.Contains(strings.Join(tt.args, " "), "--remove"); enrolls != (strings.Count(out.String(), "\n  ") == 10) {
			t.Errorf("%v: says %s", tt.args, out.String())
		}
	}
	if totp.In(stateDir).Has("dev") {
		t.Error("still there")
	}
}

// typist is the person at the terminal: it types the code of the secret that it
// has been shown.
type typist struct {
	shown *bytes.Buffer
	right bool
	typed bool
}

func (a *typist) Read(p []byte) (int, error) {
	if a.typed {
		return 0, os.ErrClosed
	}
	a.typed = true
	code := "000000"
	if found := secretLine.FindStringSubmatch(a.shown.String()); a.right && found != nil {
		code = decode(found[1]).Code(time.Now())
	}
	return copy(p, code+"\n"), nil
}

func decode(text string) totp.Secret {
	secret, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(text)
	if err != nil {
		panic(err)
	}
	return secret
}

// What is drawn is the QR code, dot by dot, with its margin.
func TestTheQRCodeIsDrawnWhole(t *testing.T) {
	const text = "otpauth://totp/box:dev?issuer=box&secret=ABC"
	var drawn bytes.Buffer
	if err := drawQR(&drawn, text); err != nil {
		t.Fatal(err)
	}
	code, err := qr.Encode(text, qr.L)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(drawn.String()), "\n")
	black := map[rune][2]bool{'█': {true, true}, '▀': {true, false}, '▄': {false, true}, ' ': {}}
	for row, line := range lines {
		cells := []rune(strings.TrimSuffix(strings.TrimPrefix(line, "\x1b[30;107m"), "\x1b[0m"))
		if len(cells) != code.Size+2*quiet {
			t.Fatalf("line %d has %d cells", row, len(cells))
		}
		for column, cell := range cells {
			for half, got := range black[cell] {
				at := image.Pt(column-quiet, 2*row+half-quiet)
				if got != code.Black(at.X, at.Y) {
					t.Fatalf("at %v: %v", at, got)
				}
			}
		}
	}
	if len(lines)*2 < code.Size+2*quiet {
		t.Error("lines are missing")
	}
}
