// Package image is the container image of a Berth host: a Dockerfile that makes
// one of any Debian or Ubuntu base, an sshd that lets in what the gateway's user
// CA signed, and an entrypoint that hands the image's environment on to ssh
// sessions. The files are part of the program; the engine builds them.
package image

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"strings"
)

// DefaultBase is the base of a host image if nothing else is configured.
const DefaultBase = "nvidia/cuda:12.9.1-cudnn-devel-ubuntu24.04"

// What the entrypoint of a host reads and leaves behind.
const (
	Account     = "developer"                // the account that people work as
	EnvSudo     = "BERTH_SUDO"               // variable that says whether Account may sudo: SudoFree, SudoPassword or SudoNone
	EnvAccounts = "BERTH_ACCOUNTS"           // variable that is labels.PerPerson where each person has an account
	EnvShared   = "BERTH_SHARED"             // variable with the directories then, by colons, of volumes that people share
	PidFile     = "/run/sshd.pid"            // there once sshd listens
	HostKeys    = "/var/lib/berth/host_keys" // a volume there keeps them for the next container
	Peers       = "/var/lib/berth/peers"     // a volume of the project there lets its hosts reach each other by ssh
)

// Values of EnvSudo. Without it, Account may sudo without a password.
const (
	SudoFree     = "free"
	SudoPassword = "password"
	SudoNone     = "none"
)

//go:embed Dockerfile *.sh pip.conf ssh_config sshd_config terminals.ti zshrc
var files embed.FS

// Variant is one of the images that the context makes.
type Variant struct {
	Base      string // the image to start from
	DockerCLI bool   // with a docker command
	Packages  string // more packages of the base's, separated by spaces
}

// Args are its build arguments.
func (v Variant) Args() map[string]*string {
	args := map[string]*string{"BASE": &v.Base}
	if v.DockerCLI {
		yes := "yes"
		args["DOCKER_CLI"] = &yes
	}
	if v.Packages != "" {
		args["PACKAGES"] = &v.Packages
	}
	return args
}

// Context is the build context: a tar of the Dockerfile and what it copies.
func Context() io.Reader { return contextOf(files) }

func contextOf(files fs.FS) io.Reader {
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	// Neither the embedded files nor the buffer can fail.
	err := fs.WalkDir(files, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		return add(w, files, name)
	})
	if err != nil {
		panic(err)
	}
	w.Close()
	return &buf
}

// Tag is the image's name: the same for the same files and arguments, so that
// an image with this name need not be built again.
func (v Variant) Tag() string { return v.tagWith(files) }

// tagWith hashes the files and the arguments. How the arguments are written is
// kept between versions: hosts are recreated when their image gets another tag.
func (v Variant) tagWith(files fs.FS) string {
	hash := sha256.New()
	io.Copy(hash, contextOf(files))
	fmt.Fprintf(hash, "{Base:%s DockerCLI:%t}", v.Base, v.DockerCLI)
	if v.Packages != "" {
		fmt.Fprintf(hash, "{Packages:%s}", v.Packages)
	}
	return "berth/host:" + hex.EncodeToString(hash.Sum(nil))[:12]
}

func add(w *tar.Writer, files fs.FS, name string) error {
	content, err := fs.ReadFile(files, name)
	if err != nil {
		return err
	}
	mode := int64(0o644)
	if strings.HasSuffix(name, ".sh") {
		mode = 0o755
	}
	if err := w.WriteHeader(&tar.Header{Name: name, Mode: mode, Size: int64(len(content))}); err != nil {
		return err
	}
	_, err = w.Write(content)
	return err
}
