package golden_test

import (
	"testing"

	"github.com/meshpol/meshpol/internal/golden"
)

func TestEqualReadsTheFileOfThatName(t *testing.T) {
	golden.Equal(t, "hello.golden", []byte("hello\n"))
}
