package build

import (
	"os"
)

// Place puts a built file at another path: by a link, which shares its pages in memory, or else by a copy.
func Place(to, from string) error {
	if err := os.Link(from, to); err == nil {
		return nil
	}
	if err := copyFile(to, from); err != nil {
		return err
	}
	info, err := os.Stat(from)
	if err != nil {
		return err
	}
	return os.Chmod(to, info.Mode())
}
