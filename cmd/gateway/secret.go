package main

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/berth-ssh/berth/config"
	"github.com/berth-ssh/berth/state"
)

// secret is a Secret of Kubernetes; its []byte values are base64, as in JSON.
type secret struct {
	APIVersion string            `json:"apiVersion"`
	Kind       string            `json:"kind"`
	Metadata   map[string]string `json:"metadata"`
	Type       string            `json:"type"`
	Data       map[string][]byte `json:"data"`
}

func newSecretCommand() *cobra.Command {
	path, name, isNew := config.DefaultPath, "berth-gateway-keys", false
	command := &cobra.Command{
		Use:   "secret",
		Short: "Print the gateway's own keys as a Secret for gateways in a cluster",
		Long: "Print the gateway's own keys, private halves and all, as a Secret of Kubernetes, for\n" +
			"gateways in a cluster. With --new they are made for it, and kept nowhere else;\n" +
			"otherwise they are those of the gateway of this box, which the cluster's are to\n" +
			"replace:\n" +
			"berth-gateway keys secret --new | kubectl -n berth-system create -f -",
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			if out, ok := command.OutOrStdout().(*os.File); ok && isTerminal(out) {
				return errors.New("these are private keys, and no terminal is to show them; write: | kubectl -n NAMESPACE create -f -")
			}
			keys, err := keysFor(path, isNew)
			if err != nil {
				return err
			}
			return writeSecret(command.OutOrStdout(), name, keys)
		},
	}
	command.Flags().StringVar(&path, "config", path, "configuration `file`")
	command.Flags().StringVar(&name, "name", name, "the Secret's `name`")
	command.Flags().BoolVar(&isNew, "new", false, "make new keys")
	command.MarkFlagsMutuallyExclusive("config", "new")
	return command
}

// keysFor returns the files of the keys of this box's gateway, or of new keys.
func keysFor(path string, isNew bool) (map[string][]byte, error) {
	if isNew {
		return newKeys()
	}
	settings, err := config.Load(path)
	if err != nil {
		return nil, err
	}
	st, err := openMade(settings)
	if err != nil {
		return nil, err
	}
	return st.Keys()
}

// newKeys returns new keys, which it makes in a temporary directory.
func newKeys() (map[string][]byte, error) {
	dir, err := os.MkdirTemp("", "berth-keys-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	st, err := state.Open(filepath.Join(dir, "state"))
	if err != nil {
		return nil, err
	}
	return st.Keys()
}

func writeSecret(out io.Writer, name string, keys map[string][]byte) error {
	text := json.NewEncoder(out)
	text.SetIndent("", "  ")
	return text.Encode(secret{"v1", "Secret", map[string]string{"name": name}, "Opaque", keys})
}
