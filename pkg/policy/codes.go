package policy

// The codes of Load's errors. pkg/validate explains each of them; a code is never used for anything else.
const (
	CodeRead       = "MP101" // a file cannot be read
	CodeSyntax     = "MP102" // not YAML
	CodeNotPlain   = "MP103" // anchors, aliases, tags
	CodeEmpty      = "MP104" // nothing to read
	CodeAPIVersion = "MP105" // apiVersion missing, or another one
	CodeKind       = "MP106" // kind missing or unknown
	CodeUnknown    = "MP107" // unknown field
	CodeTwice      = "MP108" // one key twice
	CodeType       = "MP109" // wrong type
	CodeMissing    = "MP110" // required field missing
	CodeValue      = "MP111" // impossible value
	CodeTogether   = "MP112" // fields that exclude or need each other
	CodeTarget     = "MP113" // target that the kind cannot have
	CodeDuplicate  = "MP114" // one kind, namespace and name twice
)
