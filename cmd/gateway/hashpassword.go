package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/berth-ssh/berth/auth"
)

func newHashPasswordCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "hash-password",
		Short: "Turn a password into the hash for gateway.yaml",
		Long: "Turn a password into the hash for gateway.yaml. On a terminal it asks for the\n" +
			"password twice; otherwise it reads one line from standard input.",
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			password, err := readPassword(command.InOrStdin(), command.ErrOrStderr())
			if err != nil {
				return err
			}
			hash, err := auth.HashPassword(password)
			if err != nil {
				return err
			}
			fmt.Fprintln(command.OutOrStdout(), hash)
			return nil
		},
	}
}

// maxInput is much longer than any password, in bytes.
const maxInput = 1 << 20

func readPassword(in io.Reader, prompts io.Writer) ([]byte, error) {
	if terminal, ok := in.(*os.File); ok && term.IsTerminal(int(terminal.Fd())) {
		return askPassword(int(terminal.Fd()), prompts)
	}
	line, err := io.ReadAll(io.LimitReader(in, maxInput))
	if err != nil {
		return nil, err
	}
	line = bytes.TrimSuffix(line, []byte("\n"))
	if bytes.ContainsRune(line, '\n') {
		return nil, errors.New("standard input has more than one line; a password is one line")
	}
	return line, nil
}

func askPassword(terminal int, prompts io.Writer) ([]byte, error) {
	password, err := ask(terminal, prompts, "Password: ")
	if err != nil {
		return nil, err
	}
	again, err := ask(terminal, prompts, "Again: ")
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(password, again) {
		return nil, errors.New("the two passwords are different; try again")
	}
	return password, nil
}

func ask(terminal int, prompts io.Writer, prompt string) ([]byte, error) {
	fmt.Fprint(prompts, prompt)
	defer fmt.Fprintln(prompts)
	return term.ReadPassword(terminal)
}
