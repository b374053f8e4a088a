package policy

import (
	"slices"
	"strings"
)

// nearest is the name that a person probably meant, or "".
func nearest(got string, names []string) string {
	best, bestAt := "", max(len(got)/3, 1)+1
	for _, name := range names {
		if at := distance(strings.ToLower(got), strings.ToLower(name)); at < bestAt {
			best, bestAt = name, at
		}
	}
	return best
}

// distance is the number of letters to insert, delete, replace or swap with their neighbour to make a into b.
func distance(a, b string) int {
	const longest = 64 // names are short: do not spend time on a key of a megabyte
	if len(a) > longest || len(b) > longest {
		return longest
	}
	var before, last []int
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		before, last, row = last, row, make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+btoi(a[i-1] != b[j-1]))
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
	}
	return row[len(b)]
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// suggest is the hint for a name that is not in the list: the probable one, and all of them.
func suggest(got string, names []string) string {
	allowed := "allowed: " + strings.Join(sortedCopy(names), ", ")
	if near := nearest(got, names); near != "" {
		return "did you mean " + near + "? " + allowed
	}
	return allowed
}

func sortedCopy(names []string) []string {
	out := slices.Clone(names)
	slices.Sort(out)
	return out
}
