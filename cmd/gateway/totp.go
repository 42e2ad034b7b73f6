package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"
	"rsc.io/qr"

	"github.com/berth-ssh/berth/auth"
	"github.com/berth-ssh/berth/config"
	"github.com/berth-ssh/berth/state"
	"github.com/berth-ssh/berth/totp"
)

// withoutCodes returns the users whose logins may need a code and who have no
// authenticator.
func withoutCodes(settings config.Config) []string {
	var users []string
	for _, user := range settings.Users {
		if settings.Policy.Asks(user.Name, auth.ByCode) && !totp.In(settings.State).Has(user.Name) {
			users = append(users, user.Name)
		}
	}
	return users
}

func newTotpCommand() *cobra.Command {
	path, replace, remove := config.DefaultPath, false, false
	command := &cobra.Command{
		Use:   "totp USER",
		Short: "Give a user an authenticator as a second step of the login",
		Long: "Give a user an authenticator as a second step of the login: show its secret as a\n" +
			"QR code, ask for the code that the authenticator then shows, and print recovery\n" +
			"codes: each can be used once instead. The rules under login: in gateway.yaml say who\n" +
			"is asked for a code. Run it as the gateway's account. It takes effect at once.",
		Args: cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			settings, err := config.Load(path)
			if err != nil {
				return err
			}
			if err := mayEnroll(settings, args[0]); err != nil {
				return err
			}
			store := totp.In(settings.State)
			if remove {
				return store.Remove(args[0])
			}
			return enroll(store, args[0], replace, command.InOrStdin(), command.OutOrStdout())
		},
	}
	command.Flags().StringVar(&path, "config", path, "configuration `file`")
	command.Flags().BoolVar(&replace, "replace", false, "replace an authenticator that the user has")
	command.Flags().BoolVar(&remove, "remove", false, "forget the user's authenticator and recovery codes")
	return command
}

func mayEnroll(settings config.Config, name string) error {
	if settings.Keys != "" {
		return errors.New("a code is no step of a login to gateways that have the same keys; an OpenID provider can ask for one (docs/directory.md)")
	}
	for _, user := range settings.Users {
		if user.Name == name {
			return state.Check(settings.State)
		}
	}
	if _, ok := settings.Policy.NameAt(auth.LDAP, name); ok && auth.CheckName(name) == nil {
		return state.Check(settings.State)
	}
	return fmt.Errorf("there is no user %.64q in the configuration", name)
}

func enroll(store *totp.Store, user string, replace bool, in io.Reader, out io.Writer) error {
	if store.Has(user) && !replace {
		return fmt.Errorf("%s %w; to replace it: berth-gateway totp --replace %s", user, totp.ErrEnrolled, user)
	}
	host, err := os.Hostname()
	if err != nil {
		host = "berth"
	}
	secret := totp.NewSecret()
	uri := secret.URI(host, user)
	if file, ok := out.(*os.File); ok && term.IsTerminal(int(file.Fd())) {
		if err := drawQR(out, uri); err != nil {
			return err
		}
	}
	fmt.Fprintf(out, "%s\nsecret: %s\n\nCode that the authenticator shows: ", uri, secret)
	code, err := bufio.NewReader(io.LimitReader(in, maxInput)).ReadString('\n')
	if err != nil && err != io.EOF {
		return err
	}
	recovery, err := store.Enroll(user, secret, strings.TrimSpace(code), replace)
	if err != nil {
		return fmt.Errorf("nothing was changed: %w", err)
	}
	fmt.Fprintf(out, "\n%s has an authenticator now. Each of these codes replaces it once; keep them elsewhere:\n", user)
	for _, code := range recovery {
		fmt.Fprintln(out, "  "+code)
	}
	return nil
}

// quiet is the width of the white margin of a QR code, in modules.
const quiet = 4

// drawQR draws two modules, one above the other, in each character. It sets both
// colours, so that it works on dark and light terminals.
func drawQR(out io.Writer, text string) error {
	code, err := qr.Encode(text, qr.L)
	if err != nil {
		return err
	}
	for y := -quiet; y < code.Size+quiet; y += 2 {
		line := "\x1b[30;107m"
		for x := -quiet; x < code.Size+quiet; x++ {
			line += string(halves(code.Black(x, y), code.Black(x, y+1)))
		}
		fmt.Fprintln(out, line+"\x1b[0m")
	}
	return nil
}

func halves(upper, lower bool) rune {
	switch {
	case upper && lower:
		return '█'
	case upper:
		return '▀'
	case lower:
		return '▄'
	}
	return ' '
}
