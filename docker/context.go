package docker

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/moby/moby/client"
)

// dockerContext is a context of the docker command: see docker context ls.
type dockerContext struct {
	Name      string
	Endpoints map[string]struct {
		Host          string
		SkipTLSVerify bool
	}
}

// currentContext returns the address and the options of the context that the docker
// command would use: the one that DOCKER_CONTEXT names, or else the one in
// config.json. For the default context it returns none.
func currentContext() (address string, options []client.Opt, err error) {
	dir := os.Getenv("DOCKER_CONFIG")
	if dir == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", nil, nil // and so no contexts
		}
		dir = filepath.Join(home, ".docker")
	}
	name := os.Getenv("DOCKER_CONTEXT")
	if name == "" {
		name = configuredContext(dir)
	}
	if name == "" || name == "default" {
		return "", nil, nil
	}
	return readContext(dir, name)
}

// configuredContext returns the context in config.json; "" if there is none, or if
// the file is not docker's.
func configuredContext(dir string) string {
	text, err := os.ReadFile(filepath.Join(dir, "config.json"))
	var config struct{ CurrentContext string }
	if err != nil || json.Unmarshal(text, &config) != nil {
		return ""
	}
	return config.CurrentContext
}

func readContext(dir, name string) (address string, options []client.Opt, err error) {
	sum := sha256.Sum256([]byte(name))
	id := hex.EncodeToString(sum[:])
	text, err := os.ReadFile(filepath.Join(dir, "contexts", "meta", id, "meta.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil, fmt.Errorf("there is no Docker context %s: docker context ls lists them", name)
	}
	var read dockerContext
	if err == nil {
		err = json.Unmarshal(text, &read)
	}
	if err != nil {
		return "", nil, fmt.Errorf("the Docker context %s: %w", name, err)
	}
	endpoint := read.Endpoints["docker"]
	if endpoint.Host == "" {
		return "", nil, fmt.Errorf("the Docker context %s names no engine", name)
	}
	tls := filepath.Join(dir, "contexts", "tls", id, "docker")
	file := func(name string) string {
		path := filepath.Join(tls, name)
		if _, err := os.Stat(path); err != nil {
			return ""
		}
		return path
	}
	ca := file("ca.pem")
	switch {
	case endpoint.SkipTLSVerify && strings.HasPrefix(endpoint.Host, "tcp:"):
		return "", nil, fmt.Errorf("the Docker context %s does not check the engine's certificate; create it again with its CA", name)
	case ca != "":
		options = append(options, client.WithTLSClientConfig(ca, file("cert.pem"), file("key.pem")))
	}
	return endpoint.Host, options, nil
}
