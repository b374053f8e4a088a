package istio

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/meshpol/meshpol/pkg/policy"
)

const (
	namePrefix = "mp-new-"
	twinPrefix = "mp-old-"
	foldPrefix = "mp-fold-"
	// maxSubset is the length that a DNS-1123 label may have.
	maxSubset = 63
)

// names are the names that one run gives to things.
type names struct{ rev string }

// clone is the common start of the route names of all clones of a run.
func (n names) clone() string { return namePrefix + n.rev + "-" }

// cloneAt is the name of one clone: its number in the run, then the tag of the exposure, so that the name in a proxy
// proves which write the proxy holds. No name is the beginning of another: numbers end in a dash, tags have one width.
func (n names) cloneAt(i int, tag string) string { return n.cloneStem(i) + tag }

func (n names) cloneStem(i int) string { return fmt.Sprintf("%s%d-", n.clone(), i) }

// twin is the name of the entry that counts the old side of a narrowed policy.
func (n names) twin(i int) string { return fmt.Sprintf("%s%s-%d", twinPrefix, n.rev, i) }

// newStat is the statPrefix of the clones. In step 0, where they still have the old policy, it is another one: requests
// that began there and end in the next step would be counted as the new policy's.
func (n names) newStat(m policy.Mode) string {
	if m == policy.Staged {
		return "mp-" + n.rev + "-half"
	}
	return "mp-" + n.rev + "-new"
}

// oldStat is the statPrefix of the originals. From the second VirtualService on it is numbered, so that its absence
// proves one object's write.
func (n names) oldStat(site int) string {
	if site == 0 {
		return "mp-" + n.rev + "-old"
	}
	return fmt.Sprintf("mp-%s-%d-old", n.rev, site)
}

// foldStat is the statPrefix that proves the first half of the fold.
func (n names) foldStat(site int) string { return fmt.Sprintf("mp-%s-fold-%02d", n.rev, site) }

// ourStat tells whether a statPrefix is of this run.
func (n names) ourStat(s string) bool { return strings.HasPrefix(s, "mp-"+n.rev+"-") }

// ourEntry tells whether a route name is of this run's split.
func (n names) ourEntry(s string) bool {
	return strings.HasPrefix(s, n.clone()) || strings.HasPrefix(s, twinPrefix+n.rev+"-")
}

// subset is the name of the new twin of a subset; the empty name is the destination without a subset.
func (n names) subset(of string) string {
	suffix := namePrefix + n.rev
	if of == "" {
		return suffix
	}
	if room := maxSubset - len(suffix) - 1; len(of) > room {
		sum := sha256.Sum256([]byte(of))
		of = of[:room-7] + "-" + hex.EncodeToString(sum[:3])
	}
	return of + "-" + suffix
}

func (n names) foldSubset() string { return foldPrefix + n.rev }

// ourSubset tells whether a subset name is of this run.
func (n names) ourSubset(s string) bool {
	return s == n.foldSubset() || s == n.subset("") || strings.HasSuffix(s, "-"+n.subset(""))
}

// The letters that route names have after their number, one per kind of exposure.
const (
	tagStaged      = "s"
	tagEnforced    = "w"
	tagStagedPods  = "q"
	tagPods        = "p"
	tagStagedMatch = "n"
	tagMatch       = "m"
)

func tagLetters() []string {
	return []string{tagStaged, tagEnforced, tagStagedPods, tagPods, tagStagedMatch, tagMatch}
}

// letter is the kind of an exposure in route names.
func letter(e policy.Exposure) string {
	staged := e.Mode == policy.Staged
	pick := func(s, enforced string) string {
		if staged {
			return s
		}
		return enforced
	}
	switch e.By {
	case policy.ByRequest:
		return pick(tagStaged, tagEnforced)
	case policy.ByInstance:
		return pick(tagStagedPods, tagPods)
	default:
		return pick(tagStagedMatch, tagMatch)
	}
}

// tag names an exposure in route names, in characters that JSON never escapes.
func tag(e policy.Exposure) string {
	switch e.By {
	case policy.ByRequest:
		return letter(e) + fmt.Sprintf("%03x-%04x", e.Window.Start, e.Window.Width)
	case policy.ByInstance:
		return letter(e)
	default:
		sum := sha256.Sum256(canonical(e.Match))
		return letter(e) + hex.EncodeToString(sum[:4])
	}
}

// anyRun tells whether a name was given by a run of meshpol, whichever.
func anyRun(s string) bool {
	return strings.HasPrefix(s, namePrefix) || strings.HasPrefix(s, twinPrefix) || strings.HasPrefix(s, foldPrefix) ||
		strings.Contains(s, "-"+namePrefix)
}
