package main

// omission is a part of the CLI that nothing in the sandbox uses and that takes long
// to compile. An error takes its place, except for colours.
type omission struct {
	part   string   // a phrase of docs/fidelity.md
	cost   string   // the CPU seconds of compiling it, of 520 for the whole CLI
	remove []string // patterns of the files to remove
	keep   []string // files that remove matches and that stay
	edits  []edit
}

// edit replaces the text of a file that begins with from and ends before until.
// Imports that are no longer used are dropped.
type edit struct{ file, from, until, to string }

const importLeftout = `"github.com/intraverse/dcv-sessions/sandbox/engine/leftout"`

var omissions = []omission{
	{
		part: "`pulumi api`", cost: "145: an OpenAPI library",
		remove: []string{"cmd/pulumi/cloud/*"},
		keep:   []string{"cmd/pulumi/cloud/resolve.go", "cmd/pulumi/cloud/envelope.go"},
	},
	{
		part: "states in `azblob://`, `gs://` and `s3://`", cost: "130, with the next: the SDKs of three clouds",
		remove: []string{"authhelpers/*"},
		edits: []edit{
			{"backend/diy/backend.go", `_ "gocloud.dev/blob/s3blob"`, "\n", ""},
			{"backend/diy/backend.go", "// for gcp we want to support", "bucket, err := blobmux.OpenBucket", ""},
			{"backend/diy/bucket.go", "var input *awss3.CopyObjectInput", "if beforeCopy != nil", ""},
			{"backend/diy/bucket.go", "// fixupS3CopySource rewrites", "func (b *wrappedBucket) Delete", ""},
		},
	},
	{
		part: "the secrets providers `awskms`, `azurekeyvault`, `gcpkms` and `hashivault`", cost: "see above",
		edits: []edit{
			{"secrets/cloud/manager.go", `_ "gocloud.dev/secrets/awskms"`, `"github.com/pulumi/pulumi/pkg/v3/authhelpers"`, importLeftout + "\n"},
			{"secrets/cloud/manager.go", "switch u.Scheme {", "// generateNewDataKey generates", "return nil, leftout.Error(u.Scheme + \"://\")\n}\n\n"},
		},
	},
	{
		part: "`pulumi logs`", cost: "35: the SDKs of CloudWatch Logs and Google's Logging",
		remove: []string{"operations/operations_*.go"},
		edits: []edit{
			{"operations/resources.go", "import (", "\n", "import (\n" + importLeftout},
			{"operations/resources.go", `case "cloud":`, "default:", "case \"cloud\", \"aws\", \"gcp\":\n\treturn nil, leftout.Error(\"pulumi logs\")\n"},
		},
	},
	{
		part: "`pulumi neo`", cost: "10: a toolkit for terminals",
		remove: []string{"cmd/pulumi/neo/*", "cmd/pulumi/neo/*/*"},
	},
	{
		part: "`pulumi env`", cost: "10: Pulumi ESC",
		remove: []string{"cmd/pulumi/env/*", "cmd/esc/cli/*", "cmd/esc/cli/style/*"},
		keep:   []string{"cmd/esc/cli/prepare.go", "cmd/esc/cli/fs.go"},
	},
	{
		part: "texts of `pulumi package`, `pulumi do` and `pulumi config env init` have no colours", cost: "20: a syntax highlighter",
		edits: []edit{
			{"cmd/pulumi/config/config_env_init.go", "if !cmdutil.InteractiveTerminal() {", "type evalCrypter interface", "return markdown.String(), nil\n}\n\n"},
			{"cmd/pulumi/schemainfo/description.go", "// helpMarkdownStyle returns", "// droppedHelpSections are", ""},
			{"cmd/pulumi/schemainfo/description.go", "renderer, err := glamour", "return tidyRendered(rendered)", "rendered := md\n"},
		},
	},
	{
		part: "publishing policies written for Node.js", cost: "6: the readers of every package manager's files",
		edits: []edit{
			{"backend/httpstate/policypack.go", `"github.com/pulumi/pulumi/sdk/v3/nodejs/npm"`, "\n", importLeftout},
			{
				"backend/httpstate/policypack.go", "packTarball, err = npm.Pack", "if err != nil",
				"err = leftout.Error(\"publishing policies written for Node.js\")\n",
			},
		},
	},
}
