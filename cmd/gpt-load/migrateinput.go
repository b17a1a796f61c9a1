package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/pflag"

	"gpt-load/internal/config"
	"gpt-load/internal/secret"
	"gpt-load/internal/terminal"
)

// asked stands for a key that is asked for.
const asked = "-"

// givenKey is a secret of a command, such as one of the two keys of migrate-keys, with all the ways to give it. It is a
// flag of its own.
type givenKey struct {
	name     string // of the flag
	what     string
	variable string // of the environment; with _FILE behind it, one that names a file
	twice    bool   // is asked for twice on a terminal, since a typing error would only show later
	needed   bool   // cannot be empty
	// harmless tells a text that is no secret on the command line; nil where all are.
	harmless func(text string) bool

	text secret.Text // of the flag
	file string      // of the flag NAME-file
}

// String implements pflag.Value.
func (k *givenKey) String() string { return "" } // help shows it as the default

// Set implements pflag.Value.
func (k *givenKey) Set(text string) error {
	if text == "" {
		return errors.New("is empty; is a variable of the shell not set? Leave the flag out for secrets that are stored in clear")
	}
	k.text = secret.New(text)
	return nil
}

// Type implements pflag.Value.
func (k *givenKey) Type() string { return "key" }

// addTo gives a command the flags of the secret.
func (k *givenKey) addTo(flags *pflag.FlagSet, kind string) {
	flags.Var(k, k.name, "`"+kind+"`: "+k.what+"; - asks for it")
	flags.StringVar(&k.file, k.name+"-file", "", "`file` with "+k.what)
}

// ways lists how the key was given.
func (k *givenKey) ways() []string {
	var ways []string
	if !k.text.IsEmpty() {
		ways = append(ways, "--"+k.name)
	}
	if k.file != "" {
		ways = append(ways, "--"+k.name+"-file")
	}
	for _, name := range []string{k.variable, k.variable + "_FILE"} {
		if os.Getenv(name) != "" {
			ways = append(ways, name)
		}
	}
	return ways
}

// readKeys finds both keys. One that is not given stands for secrets in clear.
func (m *keyMigration) readKeys(ctx context.Context) (err error) {
	if len(m.from.ways())+len(m.to.ways()) == 0 {
		if !m.AsksPeople {
			return usage(errors.New("no key is given: --to-file encrypts what is stored in clear, --from-file stores it in clear, both change the key"),
				"`gpt-load migrate-keys --help` lists the other ways to give a key")
		}
		m.from.text, m.to.text = secret.New(asked), secret.New(asked)
	}
	if m.oldKey, err = m.readSecret(ctx, &m.from); err != nil {
		return err
	}
	if m.newKey, err = m.readSecret(ctx, &m.to); err != nil {
		return err
	}
	if m.oldKey.Equal(m.newKey) {
		return usage(errors.New("the old and the new key are the same; there is nothing to change"), "")
	}
	if why := config.Weakness(m.newKey); why != "" && !m.newKey.IsEmpty() {
		m.note("warning: the new key is weak: %s. Whoever guesses it can read the stored keys from a copy of the database; `openssl rand -hex 32` makes a strong one.", why)
	}
	return nil
}

// readSecret finds a secret in the one way in which it is given. One that is not given is empty.
func (a *app) readSecret(ctx context.Context, k *givenKey) (secret.Text, error) {
	ways := k.ways()
	if len(ways) > 1 {
		return secret.Text{}, usage(fmt.Errorf("%s is given by %s; keep one of them", k.what, strings.Join(ways, " and by ")), "")
	}
	if len(ways) == 0 {
		return secret.Text{}, nil
	}
	key, way := k.text, ways[0]
	var err error
	switch way {
	case "--" + k.name:
		if key.Reveal() == asked {
			return a.ask(ctx, k)
		}
		if k.harmless == nil || !k.harmless(key.Reveal()) {
			a.note("warning: other users of this machine can see a key on the command line, and the shell keeps it: --%s-file or --%s - is safer", k.name, k.name)
		}
	case "--" + k.name + "-file":
		key, err = config.EncryptionKeyFrom(k.file)
	case k.variable:
		key = secret.New(os.Getenv(way))
	default:
		key, err = config.EncryptionKeyFrom(strings.TrimSpace(os.Getenv(way)))
	}
	if err != nil {
		return key, usage(fmt.Errorf("%s (%s): %w", k.what, way, err), "")
	}
	if err := config.CheckEncryptionKey(key); err != nil {
		return key, usage(fmt.Errorf("%s (%s) %w", k.what, way, err), "")
	}
	return key, nil
}

// ask reads a key that the terminal does not show, a new one twice.
func (a *app) ask(ctx context.Context, k *givenKey) (secret.Text, error) {
	prompt := strings.ToUpper(k.what[:1]) + k.what[1:]
	if !k.needed {
		prompt += " (empty for none)"
	}
	text, err := a.ReadSecret(ctx, prompt+":")
	if err == nil && k.twice && text != "" {
		var again string
		if again, err = a.ReadSecret(ctx, "Once more:"); err == nil && again != text {
			return secret.Text{}, usage(errors.New("the two are not the same"), "")
		}
	}
	if errors.Is(err, terminal.ErrNobodyToAsk) {
		return secret.Text{}, usage(fmt.Errorf("%s cannot be asked for: %w", k.what, err), fmt.Sprintf("--%s-file or %s_FILE names a file with it", k.name, k.variable))
	}
	key := secret.New(text)
	if err == nil {
		err = config.CheckEncryptionKey(key)
	}
	return key, err
}
