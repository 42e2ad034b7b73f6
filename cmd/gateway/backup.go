package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"github.com/berth-ssh/berth/backup"
	"github.com/berth-ssh/berth/config"
	"github.com/berth-ssh/berth/packaging"
	"github.com/berth-ssh/berth/release"
)

func newBackupCommand() *cobra.Command {
	path, passphraseFile := config.DefaultPath, ""
	command := &cobra.Command{
		Use:   "backup FILE",
		Short: "Put the configuration and the keys of this box into an encrypted file",
		Long: "Put gateway.yaml, users.d and the state directory, with the gateway's keys, into a\n" +
			"new file, encrypted with a passphrase, for which it asks on the terminal. The gateway\n" +
			"may run meanwhile. Containers and volumes are not in the file. age and tar open it\n" +
			"where this program is not installed: age --decrypt FILE | tar -xz",
		Args: cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			passphrase, err := readPassphrase(passphraseFile, true)
			if err != nil {
				return err
			}
			if err := writeBackup(args[0], passphrase, path); err != nil {
				return err
			}
			fmt.Fprintf(command.OutOrStdout(), "wrote %s: %s and %s\n", args[0], path, config.StateDir(path))
			return nil
		},
	}
	command.Flags().StringVar(&path, "config", path, "configuration `file`")
	command.Flags().StringVar(&passphraseFile, "passphrase-file", "", "`file` whose first line is the passphrase")
	return command
}

// writeBackup writes a new file, as a whole or not at all.
func writeBackup(to, passphrase, path string) error {
	path, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	if _, err := os.Lstat(to); err == nil {
		return fmt.Errorf("%s exists, and is not replaced", to)
	}
	tmp, err := os.CreateTemp(filepath.Dir(to), ".berth-backup-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	has := config.AsFarAsRead(path)
	err = backup.Write(tmp, passphrase, release.Version(), backup.Box{
		Config: path, State: has.State, Recordings: has.Record.Dir, Audit: has.Audit.File,
	})
	if err := errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	return unix.Renameat2(unix.AT_FDCWD, tmp.Name(), unix.AT_FDCWD, to, unix.RENAME_NOREPLACE)
}

func newRestoreCommand() *cobra.Command {
	path, state, passphraseFile := "", "", ""
	command := &cobra.Command{
		Use:   "restore FILE",
		Short: "Bring back what backup has written",
		Long: "Bring back the configuration and the keys that backup has put into a file, at the\n" +
			"places where they were. It replaces only the untouched configuration of a fresh\n" +
			"install, and if the file is broken, it writes nothing.",
		Args: cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			file, err := os.Open(args[0])
			if err != nil {
				return err
			}
			defer file.Close()
			passphrase, err := readPassphrase(passphraseFile, false)
			if err != nil {
				return err
			}
			isFresh := func(text []byte) bool { return bytes.Equal(text, packaging.FirstConfig) }
			manifest, err := backup.Restore(file, passphrase, path, state, isFresh)
			if err != nil {
				return err
			}
			out := command.OutOrStdout()
			fmt.Fprintf(out, "restored %s and %s, as they were on %s\n", manifest.Config, manifest.State, manifest.Time.Local().Format(time.RFC1123))
			if config.StateDir(manifest.Config) != manifest.State {
				fmt.Fprintf(out, "write in %s: state: %s\n", manifest.Config, manifest.State)
			}
			return nil
		},
	}
	command.Flags().StringVar(&path, "config", path, "configuration `file`, instead of where it was")
	command.Flags().StringVar(&state, "state", state, "state `directory`, instead of where it was")
	command.Flags().StringVar(&passphraseFile, "passphrase-file", "", "`file` whose first line is the passphrase")
	return command
}

// readPassphrase reads a passphrase from a file, or asks for it at the terminal.
func readPassphrase(file string, isNew bool) (string, error) {
	var text []byte
	var err error
	switch terminal := int(os.Stdin.Fd()); {
	case file != "":
		text, err = os.ReadFile(file)
		text, _, _ = bytes.Cut(text, []byte("\n"))
	case !term.IsTerminal(terminal):
		return "", errors.New("there is no terminal to ask for the passphrase at: use --passphrase-file")
	case isNew:
		text, err = askPassword(terminal, os.Stderr)
	default:
		text, err = ask(terminal, os.Stderr, "Passphrase: ")
	}
	if err == nil && len(text) == 0 {
		err = errors.New("the passphrase is empty")
	}
	return string(text), err
}
