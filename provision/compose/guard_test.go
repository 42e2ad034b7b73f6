package compose

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// boxWithLinks returns a directory with a socket, a state directory, and links to
// them.
func boxWithLinks(t *testing.T) (dir string, at Site) {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, sub := range []string{"engine", "state/helper", "lab/data", "lab/deep/er"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir) // a socket's path must be short
	listener, err := net.Listen("unix", "engine/e.sock")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	for link, to := range map[string]string{
		"lab/link": "../engine/e.sock", "lab/dir": dir + "/engine", "lab/chain": "dir", "lab/up": "deep/er/../../..",
		"lab/run": "/run", "lab/keys": "../state", "lab/dangling": "/run/docker/later", "lab/loop": "loop",
	} {
		if err := os.Symlink(to, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Link("engine/e.sock", "lab/hard"); err != nil {
		t.Fatal(err)
	}
	return dir, Site{StateDir: dir + "/state", Socket: dir + "/engine/e.sock"}
}

// The attack: the mounts in a compose file lead to the engine's socket or to the
// gateway's keys by another name. An admin who runs the file must not give the box
// away.
func TestAttackByAMountThatLeadsElsewhere(t *testing.T) {
	dir, at := boxWithLinks(t)
	for source, want := range map[string]string{
		dir + "/engine/e.sock":           "socket",
		dir + "/engine":                  "socket",
		dir:                              "socket state",
		"/":                              "socket state",
		"//run":                          "socket",
		"/run/../run/":                   "socket",
		"/var/run/docker.sock":           "socket",
		"/run/user":                      "socket",
		"/run/user/1000":                 "socket",
		"/run/containerd":                "socket",
		"/run/podman/podman.sock":        "socket",
		dir + "/lab/link":                "socket",
		dir + "/lab/dir":                 "socket",
		dir + "/lab/chain":               "socket",
		dir + "/lab/chain/e.sock":        "socket",
		dir + "/lab/hard":                "socket",
		dir + "/lab/run":                 "socket",
		dir + "/lab/run/user/0":          "socket",
		dir + "/lab/up":                  "socket state",
		dir + "/lab/deep/er/../../up/..": "socket state",
		dir + "/lab/keys":                "state",
		dir + "/lab/keys/user_ca":        "state",
		dir + "/state/helper":            "state",
		dir + "/nowhere/../state":        "state",
		dir + "/lab/dangling":            "",
		dir + "/lab/loop":                "",
		dir + "/lab/data":                "",
		"/run/systemd":                   "",
		"/srv/docker.sock.d":             "",
	} {
		g := guardAt(at)
		var got []string
		if g.leadsToSocket(source) {
			got = append(got, "socket")
		}
		if g.leadsToState(source) {
			got = append(got, "state")
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s leads to %q, want %q", source, got, want)
		}
	}
}

// The same attack by a named volume of the local driver, which mounts whatever its
// options say, and by the directories of an overlay.
func TestAttackByAVolumesDevice(t *testing.T) {
	dir, at := boxWithLinks(t)
	for options, want := range map[string]string{
		"o: bind, type: none, device: /run":                                             "left out: with the Docker socket",
		"o: rbind, type: none, device: " + dir + "/lab/chain":                           "left out: with the Docker socket",
		"o: bind, device: " + dir + "/state":                                            "left out: the gateway's keys are there",
		"type: overlay, device: overlay, o: 'lowerdir=/srv:" + dir + "/lab/keys'":       "left out: the gateway's keys are there",
		"type: overlay, device: overlay, o: 'lowerdir=/srv,upperdir=/run,workdir=/mnt'": "left out: with the Docker socket",
		"o: bind, type: none, device: run":                                              "left out: with the Docker socket", // from where the engine was started
		"o: bind, type: none, device: ../../../run":                                     "left out: with the Docker socket",
		"type: overlay, device: overlay, o: 'lowerdir=srv:run'":                         "left out: with the Docker socket",
		`type: overlay, device: overlay, o: 'lowerdir=\/run'`:                           "left out: with the Docker socket",
		"type: ext4, device: dev/sda1":                                                  "dev/sda1: whoever is root in it is root on this box",
		"type: tmpfs, device: tmpfs, o: 'size=1m,uid=1000,mode=0700'":                   "",
		"type: ext4, device: /dev/sda1":                                                 "/dev/sda1: whoever is root in it is root on this box",
		"o: bind, device: " + dir + "/lab/data":                                         "",
		"type: nfs, o: 'addr=10.0.0.1,rw', device: ':/run'":                             "",
	} {
		warned(t, at, fmt.Sprintf("services: {a: {image: one, volumes: [vol:/v]}}\nvolumes: {vol: {driver_opts: {%s}}}", options), want)
	}
}

// The attack: a path with a colon, which the guard takes for one path and the engine
// for two.
func TestAttackByAColonInAMount(t *testing.T) {
	dir, at := boxWithLinks(t)
	for volume, want := range map[string]string{
		"{type: bind, source: '/run:/x', target: ro}":                                   "the engine would read its colon",
		"{type: bind, source: '" + dir + "/state:/x', target: rw}":                      "the engine would read its colon",
		"{type: bind, source: " + dir + "/lab/data, target: '/x:rshared'}":              "the engine would read its colon",
		"{type: bind, source: '/srv/a:b', target: /x, bind: {create_host_path: false}}": "", // it is told as it is
		"{type: bind, source: " + dir + "/lab/data, target: /x, read_only: true}":       "",
	} {
		warned(t, at, "services: {a: {image: one, volumes: ["+volume+"]}}", want)
	}
}

// The attack: build an image that contains the gateway's keys, and send them away in
// a step of the build.
func TestAttackByABuildContext(t *testing.T) {
	dir, at := boxWithLinks(t)
	for context, want := range map[string]string{
		dir + "/state": "keys are there", dir + "/lab/keys": "keys are there", dir + "/state/helper": "keys are there", dir: "keys are there", dir + "/lab/data": "",
	} {
		project := loaded(t, "services: {a: {build: {context: "+context+", dockerfile_inline: 'FROM one'}}}")
		_, err := project.Want(at)
		if got := fmt.Sprint(err); want != "" && !strings.Contains(got, want) || want == "" && err != nil {
			t.Errorf("%s: %v, want %q", context, err, want)
		}
	}
}

// One rule decides which settings make a container root of the box.
func TestAttackByAContainerThatIsTheBoxsRoot(t *testing.T) {
	for keys, want := range map[string]string{
		"privileged: true":                         "privileged",
		"cap_add: [ALL]":                           "cap_add ALL",
		"cap_add: [cap_sys_admin]":                 "cap_add SYS_ADMIN",
		"cap_add: [DAC_READ_SEARCH]":               "cap_add DAC_READ_SEARCH",
		"cap_add: [NET_ADMIN, SYS_PTRACE]":         "",
		"pid: host":                                "pid: host",
		"userns_mode: host":                        "userns_mode: host",
		"network_mode: host":                       "network_mode: host",
		"security_opt: [seccomp:unconfined]":       "security_opt seccomp:unconfined",
		"security_opt: [apparmor=unconfined]":      "security_opt apparmor=unconfined",
		"security_opt: ['no-new-privileges:true']": "",
		"devices: [/dev/mem]":                      "device /dev/mem",
		"devices: [/dev/nvme0n1p2]":                "device /dev/nvme0n1p2",
		"devices: [/dev/nvidia0, /dev/fuse]":       "",
		"device_cgroup_rules: ['b 8:* rwm']":       `device_cgroup_rules "b 8:* rwm"`,
		"device_cgroup_rules: ['c 195:* rwm']":     "",
		"volumes: [/etc:/e:ro]":                    "/etc",
		"volumes: [/etc/../etc//shadow:/e:ro]":     "/etc/../etc//shadow",
		"volumes: [/root:/r]":                      "/root",
		"volumes: [/root/work:/r]":                 "",
		"volumes: [/var/lib:/l:ro]":                "/var/lib",
		"volumes: [/proc:/p]":                      "/proc",
		"volumes: [/proc:/p:ro, /sys:/s:ro]":       "",
		"volumes: [/sys:/s]":                       "/sys",
		"volumes: [/etc/localtime:/etc/localtime]": "",
		"pid: host, cap_add: [BPF]":                "cap_add BPF, pid: host",
	} {
		if want != "" {
			want += ": whoever is root in it is root on this box"
		}
		warned(t, Site{StateDir: "/srv/berth"}, "services: {a: {image: one, "+keys+"}}", want)
	}
}

// The attack: a person who may enter one host gets into another one, or into the box, by
// a namespace that both share. The owner of the files is warned, with file and line.
func TestAttackByASharedNamespace(t *testing.T) {
	const (
		root, memory = "whoever is root in one of both is root in the other", "who enters one of both reads and changes the shared memory of the other"
		ports        = "who enters one of both reaches what listens on 127.0.0.1 in the other"
	)
	for keys, want := range map[string]string{
		"pid: service:b":            "pid: service:b: " + root,
		"pid: container:c":          "pid: container:c: " + root,
		"ipc: service:b":            "ipc: service:b: " + memory,
		"ipc: container:c":          "ipc: container:c: " + memory,
		"ipc: host":                 "ipc: host: who enters it reads and changes the shared memory of this box",
		"network_mode: service:b":   "network_mode: service:b: " + ports,
		"network_mode: container:c": "network_mode: container:c: " + ports,
		"pid: host":                 "pid: host: whoever is root in it is root on this box",
		"volumes_from: [b]":         "services.a.volumes_from is not carried out",
		"ipc: shareable":            "",
		"network_mode: none":        "",
	} {
		project := loaded(t, "services:\n  b: {image: one}\n  a:\n    image: one\n    "+keys+"\n")
		w, err := project.Want(Site{})
		all := strings.Join(w.Warnings, "\n")
		if where := "compose.yaml:5: "; err != nil || want == "" && all != "" || want != "" && !strings.Contains(all, want) || want != "" && !strings.Contains(all, where) {
			t.Errorf("%s: warned of %q (%v), want %q", keys, all, err, want)
		}
	}
}

// Secrets and configs of files are where compose puts them; of others, and of files that are
// not there, the line is said, and no value.
func TestFilesThatAServiceIsGranted(t *testing.T) {
	dir := t.TempDir()
	file, state := filepath.Join(dir, "token"), filepath.Join(dir, "state")
	if err := errors.Join(os.WriteFile(file, []byte("SEKRIT"), 0o600), os.Mkdir(state, 0o700), os.WriteFile(filepath.Join(state, "user_ca"), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TOKEN", "SEKRIT")
	for keys, want := range map[string]string{
		"secrets: [s]":                                "/run/secrets/s",
		"secrets: [{source: s, target: t}]":           "/run/secrets/t",
		"secrets: [{source: s, target: /etc/t}]":      "/etc/t",
		"configs: [c]":                                "/c",
		"configs: [{source: c, target: /etc/c.conf}]": "/etc/c.conf",
		"secrets: [{source: s, mode: 0400}]":          "compose.yaml:4: a: secret s: uid, gid and mode are those of its file",
		"secrets: [by_env]":                           "compose.yaml:4: a: secret by_env left out: it has no file:",
		"configs: [text]":                             "compose.yaml:4: a: config text left out: it has no file:",
		"secrets: [none]":                             "secret none: /nowhere/at-all is no file here",
		"secrets: [keys]":                             "left out: the gateway's keys are there",
		"secrets: [s]\n    volumes: [/etc/hosts:/run/secrets/s:ro]": "",
	} {
		project := loaded(t, "services:\n  a:\n    image: one\n    "+keys+"\n"+
			"secrets: {s: {file: "+file+"}, by_env: {environment: TOKEN}, none: {file: /nowhere/at-all}, keys: {file: "+state+"/user_ca}}\n"+
			"configs: {c: {file: "+file+"}, text: {content: SEKRIT}}\n")
		w, err := project.Want(Site{StateDir: state})
		said := strings.Join(w.Warnings, "\n")
		if err != nil {
			said += err.Error()
		}
		var mounted []string
		for _, s := range w.Services {
			for _, m := range s.HostConfig.Mounts {
				if m.Source != file || !m.ReadOnly {
					t.Errorf("%s: mounted %+v", keys, m)
				}
				mounted = append(mounted, m.Target)
			}
		}
		if strings.Contains(said, "SEKRIT") || !strings.Contains(said+strings.Join(mounted, " "), want) || want == "" && len(said)+len(mounted) > 0 {
			t.Errorf("%s: %q, mounted %q; want %q", keys, said, mounted, want)
		}
	}
}

// warned checks that the files give this warning, or, if want is "", no warning of a
// mount or of root.
func warned(t *testing.T, at Site, text, want string) {
	t.Helper()
	project := loaded(t, text)
	w, err := project.Want(at)
	all := strings.Join(w.Warnings, "\n")
	if err != nil || !strings.Contains(all, want) || want == "" && (strings.Contains(all, "left out") || strings.Contains(all, "root on this box")) {
		t.Errorf("%s\nwarned of %q (%v), want %q", text, all, err, want)
	}
}

func loaded(t *testing.T, text string) *Project {
	t.Helper()
	path := filepath.Join(t.TempDir(), "compose.yaml")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	project, err := Load(t.Context(), Options{Files: []string{path}, Project: "lab", Base: "debian:12"})
	if err != nil {
		t.Fatalf("%s\n%v", text, err)
	}
	return project
}
