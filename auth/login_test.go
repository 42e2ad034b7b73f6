package auth

import (
	"strings"
	"testing"
)

func TestParseLogin(t *testing.T) {
	for in, want := range map[string]Login{
		"dev":                    {User: "dev"},
		"dev+master":             {User: "dev", Host: "master"},
		"dev@master":             {User: "dev", Host: "master"},
		"dev+root@master":        {User: "dev", Host: "master", Account: "root"},
		"_x.y-z+A_1@h.local":     {User: "_x.y-z", Host: "h.local", Account: "A_1"},
		"DEV+Master":             {User: "DEV", Host: "Master"},
		"dev master":             {User: "dev", Host: "master"}, // ssh://dev+master@box
		"dev root@master":        {User: "dev", Host: "master", Account: "root"},
		"7":                      {User: "7"},
		"dev+1000@9":             {User: "dev", Host: "9", Account: "1000"},
		strings.Repeat("a", 64):  {User: strings.Repeat("a", 64)},
		"dev.":                   {User: "dev."},
		"dev+master-":            {User: "dev", Host: "master-"},
		"root+root@root":         {User: "root", Host: "root", Account: "root"},
		"invalid+user@localhost": {User: "invalid", Host: "localhost", Account: "user"},
	} {
		got, err := ParseLogin(in)
		if err != nil || got != want {
			t.Errorf("%q: %+v, %v; want %+v", in, got, err, want)
		}
	}
}

func TestStrangeLogins(t *testing.T) {
	for _, in := range []string{
		"", "+", "@", "+@", "+master", "dev+", "@master", "dev@", "dev+@", "dev+root@", "dev+@master",
		"dev++master", "dev+master+worker", "dev+root@master+x", "dev@master+x", "dev@a@b", "dev+a@b@c", "dev@@master",
		"-oProxyCommand=id", "dev+-oProxyCommand", "dev+-x@master", ".", "..", ".ssh", "../x", "dev+../x", "dev/x", `dev\x`,
		"dev+master\n", "dev+master\r", "dev\x00", "dev+master\x00", " dev", "dev ", "dev  master", "dev master+x", "dev a b", "dev+master ", "dev +master", "dev\tx",
		"dev%2Bmaster", "dev+%h", "dev:master", "dev,master", "dev;id", "dev$(id)", "dev`id`", "dev'", `dev"`, "dev*", "dev?",
		"dеv",               // Cyrillic е
		"dev＋master", "ｄev", // full width
		"dev\u202emaster", "dev\u200b", // bidi override, zero width
		"dev+m\u00e4ster", "de\u0301v", // beyond ASCII, combining
		"d\xc1\xa5v", "dev\xff", "\xc0\xab", // overlong and broken UTF-8
		strings.Repeat("a", 65), "dev+" + strings.Repeat("a", 65), strings.Repeat("a", 64<<10),
		strings.Repeat("a", 64) + "+" + strings.Repeat("b", 64) + "@" + strings.Repeat("c", 65),
	} {
		got, err := ParseLogin(in)
		if err == nil {
			t.Errorf("%.80q is taken as %+v", in, got)
		}
		if got != (Login{}) {
			t.Errorf("%.80q leaves %+v", in, got)
		}
	}
}

func FuzzParseLogin(f *testing.F) {
	for _, seed := range []string{"dev", "dev+master", "dev@master", "dev+root@master", "dev++x", "-x", "dev+\x00", "dе"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, in string) {
		login, err := ParseLogin(in)
		if err != nil {
			return
		}
		again, err := ParseLogin(login.String())
		if err != nil || again != login {
			t.Errorf("%q is %+v, whose form %q is %+v, %v", in, login, login, again, err)
		}
		if CheckName(login.User) != nil || login.Account != "" && login.Host == "" {
			t.Errorf("%q is taken as %+v", in, login)
		}
	})
}
