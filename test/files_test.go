package test

import "testing"

// files go both ways by every client that copies files.
func (to target) files(t *testing.T) {
	t.Run("sftp", func(t *testing.T) {
		t.Parallel()
		to.want(t, makeTree+`
			printf '%s\n' "cd $far" "put -r tree" "rename tree/a tree/z" "ls -1 tree" "get -r tree back" "rm tree/z" "ls -1 tree" |
				sftp -q -b - h | grep -Ev '^(sftp>|Entering|Retrieving)'
			mv back/z back/a && diff -r tree back`,
			"tree/b\ntree/deep\ntree/empty\ntree/z\ntree/b\ntree/deep\ntree/empty\n")
	})
	t.Run("sftp_is_told_of_what_is_not_there", func(t *testing.T) {
		t.Parallel()
		script := `echo 'get /nonesuch/file' | sftp -q -b - h`
		if got := to.run(t, script); got.exit != 1 {
			t.Errorf("exit %d, want 1; stderr %s", got.exit, brief(got.stderr))
		}
	})
	for name, scp := range map[string]string{"scp": "scp -q", "scp_-O": "scp -q -O"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			to.want(t, makeTree+`
				`+scp+` tree/a h:$far/one && `+scp+` h:$far/one one && cmp tree/a one
				`+scp+` -rp tree h:$far/ && `+scp+` -rp h:$far/tree back && diff -r tree back
				[ "$(stat -c '%Y %a' tree/b)" = "$(stat -c '%Y %a' back/b)" ] && echo same`,
				"same\n")
		})
	}
	t.Run("rsync", func(t *testing.T) {
		t.Parallel()
		need(t, "rsync")
		to.want(t, `
			make_far
			mkdir up && cd up && seq 2000 | split -l 1 -a 4 - f && cd ..
			rsync -a up/ h:$far/up/ && rsync -a h:$far/up/ down/ && diff -r up down
			rsync -ai --stats up/ h:$far/up/ | grep -E '^Number of regular files transferred'
			rsync -ai h:$far/up/ down/`,
			"Number of regular files transferred: 0\n")
	})
	t.Run("git_clone_and_push", func(t *testing.T) {
		t.Parallel()
		need(t, "git")
		if to.run(t, `ssh h 'command -v git' >/dev/null`).exit != 0 {
			t.Skip("no git at the target")
		}
		to.want(t, `
			make_far
			export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1
			export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b
			ssh h git init -q --bare $far/repo
			git clone -q h:$far/repo one 2>/dev/null && cd one && seq 100000 >file && git add file && git commit -qm first && git push -q origin HEAD
			cd .. && git clone -q h:$far/repo two && cmp one/file two/file && echo same`,
			"same\n")
	})
}

// makeTree makes far and a tree of files with awkward names and sizes.
const makeTree = `
make_far
mkdir -p tree/deep/er && head -c 3M /dev/urandom >tree/a && seq 1000 >tree/b && : >tree/empty && echo x >"tree/deep/er/ä b"
chmod 640 tree/b && touch -d 2001-02-03 tree/b
`
