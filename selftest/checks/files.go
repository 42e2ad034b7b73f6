package checks

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path"
	"strings"
	"time"

	"github.com/pkg/sftp"
)

func fileChecks() []Check {
	return []Check{
		{Name: "scp, old protocol", timeout: 30 * time.Second, run: checkOldScp},
		{Name: "scp, over sftp", timeout: 30 * time.Second, run: checkNewScp},
		{Name: "sftp: put, get, rename, stat", timeout: 30 * time.Second, run: checkSftp},
		{Name: "sftp by OpenSSH", timeout: 30 * time.Second, run: checkSftpClient},
		{Name: "rsync", timeout: 30 * time.Second, run: checkRsync},
	}
}

// lacks is the line for a program that an image should have.
func lacks(program, debianPackage string) error {
	return fmt.Errorf("the image has no %s: on Debian and Ubuntu: apt-get install %s", program, debianPackage)
}

const sftpHint = "a foreign sshd needs: Subsystem sftp internal-sftp"

func checkOldScp(ctx context.Context, v *visit) (string, error) {
	err := v.scp(ctx, "-O")
	if err != nil && !IsSkipped(err) && !v.has("scp") {
		return "", lacks("scp", "openssh-client")
	}
	return "", err
}

func checkNewScp(ctx context.Context, v *visit) (string, error) {
	return "", overSftp(v.scp(ctx, "-s"))
}

func overSftp(err error) error {
	if err == nil || IsSkipped(err) {
		return err
	}
	return fmt.Errorf("%w: %s", err, sftpHint)
}

// scp copies a file there and back.
func (v *visit) scp(ctx context.Context, protocol string) error {
	dir, err := v.directory()
	if err != nil {
		return err
	}
	there, back := remote(path.Join(dir, "scp"+protocol)), "scp"+protocol
	err = v.clients.run(ctx, "scp", protocol, "-q", dataFile, there)
	if err != nil && strings.Contains(err.Error(), "option -- ") {
		return Skipped("the scp of this machine has no " + protocol)
	}
	if err != nil {
		return err
	}
	if err := v.clients.run(ctx, "scp", protocol, "-q", there, back); err != nil {
		return err
	}
	return v.clients.compare(back)
}

func checkSftp(_ context.Context, v *visit) (string, error) {
	dir, err := v.directory()
	if err != nil {
		return "", err
	}
	client, err := sftp.NewClient(v.client)
	if err != nil {
		return "", failed("the sftp subsystem", err, sftpHint)
	}
	defer client.Close()
	data, first, second := randomData(1<<20), path.Join(dir, "sftp.1"), path.Join(dir, "sftp.2")
	if err := put(client, first, data); err != nil {
		return "", err
	}
	if err := client.PosixRename(first, second); err != nil {
		return "", fmt.Errorf("rename: %w", err)
	}
	info, err := client.Stat(second)
	if err != nil {
		return "", fmt.Errorf("stat: %w", err)
	}
	if info.Size() != int64(len(data)) {
		return "", failed(fmt.Sprintf("a file of %d bytes", len(data)), info.Size(), "")
	}
	got, err := get(client, second)
	if err == nil && !bytes.Equal(got, data) {
		err = failed("the bytes that were sent", "others", "")
	}
	return "", err
}

func put(client *sftp.Client, name string, data []byte) error {
	file, err := client.Create(name)
	if err != nil {
		return fmt.Errorf("put: %w", err)
	}
	defer file.Close()
	if _, err := file.Write(data); err != nil {
		return fmt.Errorf("put: %w", err)
	}
	return nil
}

func get(client *sftp.Client, name string) ([]byte, error) {
	file, err := client.Open(name)
	if err != nil {
		return nil, fmt.Errorf("get: %w", err)
	}
	defer file.Close()
	return io.ReadAll(file)
}

func checkSftpClient(ctx context.Context, v *visit) (string, error) {
	dir, err := v.directory()
	if err != nil {
		return "", err
	}
	there, back := path.Join(dir, "sftp.data"), "sftp.back"
	batch := fmt.Sprintf("put %s %s\nls -l %[2]s\nget %[2]s %[3]s\n", dataFile, there, back)
	if err := os.WriteFile(v.clients.file("batch"), []byte(batch), 0o600); err != nil {
		return "", err
	}
	if err := v.clients.run(ctx, "sftp", "-q", "-b", "batch", hostAlias); err != nil {
		return "", overSftp(err)
	}
	return "", v.clients.compare(back)
}

func checkRsync(ctx context.Context, v *visit) (string, error) {
	dir, err := v.directory()
	if err != nil {
		return "", err
	}
	there, back := remote(path.Join(dir, "rsync")), "rsync.back"
	for _, args := range [][]string{{dataFile, there}, {there, back}} {
		err := v.clients.run(ctx, "rsync", args...)
		if err != nil && !IsSkipped(err) && !v.has("rsync") {
			return "", lacks("rsync", "rsync")
		}
		if err != nil {
			return "", err
		}
	}
	return "", v.clients.compare(back)
}
