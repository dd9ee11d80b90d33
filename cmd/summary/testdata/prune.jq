# A recorded preview, less what the summary does not read:
#   pulumi preview --json | jq -c -f prune.jq > NAME.json
def state: {urn, type, id, delete, parent, protect, inputs, propertyDependencies,
  outputs: (if .type == "pulumi:pulumi:Stack" then .outputs else (.outputs // {} | {id, arn, name, repositoryUrl}) end)};
def without_nulls: walk(if type == "object" then with_entries(select(.value != null)) else . end);
{steps: [.steps[] | .oldState |= (if . then state else . end) | .newState |= (if . then state else . end)
  | if .op == "create" and .newState then .newState |= {urn, type, parent, inputs: {tags: .inputs.tags}} else . end
  | del(.provider)], diagnostics, changeSummary,
  config: (.config // {} | with_entries(select(.key | test("^(aws:region$|dcv-sessions:(compute[.]|session[.]|network[.]playerCidrs$))"))))} | without_nulls
