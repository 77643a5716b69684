{{/*
The pieces of the MutatingAdmissionPolicies in policy-pods.yaml, in CEL. They take what is plain and
leave the rest: a pod that they change is changed as the webhook would, one that they do not know is
left as it is. Each expression asks for a field before it reads it, so that nothing errs.
*/}}

{{/* What a container runs, as one list. Call with the container's name in CEL. */}}
{{- define "tunegate.twinArgv" -}}
((has({{ . }}.command) ? {{ . }}.command : []) + (has({{ . }}.args) ? {{ . }}.args : []))
{{- end }}

{{/*
Whether a container is a server whose argument vector says all: `vllm serve ...`, or flags alone for
the official image; no reference to a variable, no file of flags, nothing that makes a worker of it.
*/}}
{{- define "tunegate.twinIsPlain" -}}
{{- $argv := include "tunegate.twinArgv" "c" -}}
{{- $unusual := "^-+(headless|node[-_]rank|r|nnodes|n|data[-_]parallel.*|dp.*|uds|grpc|config|omni|ssl[-_].*|kv[-_]offloading[-_]size|help|version)([=.].*)?$" -}}
{{- $loopback := "^(-+host=)?(localhost|127[.].*|[[]?::1[]]?)$" -}}
{{- $command := printf "(has(c.command) && c.command.size() > 0 && %s.size() > 1 && c.command[0].matches('(^|/)vllm$') && %s[1] == 'serve')" $argv $argv -}}
{{- $noProbe := "!has(c.readinessProbe) && !has(c.livenessProbe)" -}}
{{- $flagsOnly := "(!has(c.args) || c.args.size() == 0 || c.args[0].startsWith('-'))" -}}
{{- $image := printf "((!has(c.command) || c.command.size() == 0) && has(c.image) && c.image.matches('^([a-z0-9._:/-]*/)?vllm-openai(:[^/]*)?(@.*)?$') && !c.image.matches('(^|/)(nim|dynamo|ai-dynamo)/') && %s && (%s || %s.exists(w, w.matches('^-+port(=.*)?$'))))" $flagsOnly $noProbe $argv -}}
({{ $command }} || {{ $image }}) && {{ $argv }}.all(w, !w.contains('$') && !w.matches('{{ $unusual }}') && !w.matches('{{ $loopback }}'))
{{- end }}

{{/* Whether a container of this list may be a server that is not plain. Call with the list's place. */}}
{{- define "tunegate.twinSigns" -}}
{{- $sign := "matches('(?i)vllm|llm-d|kaito|sagemaker-entrypoint')" -}}
{{- $words := printf "%s.exists(w, w.%s)" (include "tunegate.twinArgv" "c") $sign -}}
((has(c.image) && c.image.{{ $sign }}) || {{ $words }} || (has(c.env) && c.env.exists(e, e.name.{{ $sign }} || (has(e.value) && e.value.{{ $sign }}))))
{{- end }}

{{/* The values that a flag has, in order. Call with a regular expression of its spellings. */}}
{{- define "tunegate.twinFlag" -}}
variables.argv.transformList(i, w, w.matches('^({{ . }})(=.*)?$'), w.contains('=') ? w.substring(w.indexOf('=') + 1) : (i + 1 < variables.argv.size() ? variables.argv[i + 1] : ''))
{{- end }}

{{/* Annotations that switch features off, of the pod and of its namespace, as one text. */}}
{{- define "tunegate.twinAnnotation" -}}
(has({{ index . 0 }}.metadata.annotations) && '{{ index . 1 }}' in {{ index . 0 }}.metadata.annotations ? {{ index . 0 }}.metadata.annotations['{{ index . 1 }}'] : '')
{{- end }}

{{- define "tunegate.twinOff" -}}
({{ include "tunegate.twinAnnotation" (list "object" "tunegate.io/disable") }} + ' ' + {{ include "tunegate.twinAnnotation" (list "namespaceObject" "tunegate.io/disable") }}).lowerAscii().matches('(^|[,\\s]){{ . | lower }}([,\\s]|$)')
{{- end }}

{{/* What all policies share: who is asked about, and which container is the server. */}}
{{- define "tunegate.twinSpec" -}}
{{- $root := index . 0 -}}
{{- $feature := index . 1 -}}
failurePolicy: Ignore
reinvocationPolicy: IfNeeded
matchConstraints:
  matchPolicy: Equivalent
  namespaceSelector: {{- include "tunegate.webhookNamespaces" (list $root "NotIn" (list "disabled")) | nindent 4 }}
  objectSelector: {{- include "tunegate.notOptedOut" $root | nindent 4 }}
  resourceRules:
    - apiGroups: [""]
      apiVersions: ["v1"]
      resources: ["pods"]
      operations: ["CREATE"]
      scope: Namespaced
matchConditions:
  - {{- include "tunegate.notAMirrorPod" $root | nindent 4 }}
  - name: may-serve-vllm
    expression: {{ include "tunegate.celMayServe" "object" | quote }}
  - name: runs-for-ever
    expression: "has(object.spec.restartPolicy) && object.spec.restartPolicy == 'Always'"
  - name: not-on-windows
    expression: "!(has(object.spec.os) && object.spec.os.name == 'windows') && !(has(object.spec.nodeSelector) && 'kubernetes.io/os' in object.spec.nodeSelector && object.spec.nodeSelector['kubernetes.io/os'] == 'windows')"
variables:
  # the one plain server, where there is no other that may be one; else none
  - name: plain
    expression: {{ printf "object.spec.containers.filter(c, %s)" (include "tunegate.twinIsPlain" $root) | quote }}
  - name: signs
    expression: {{ printf "object.spec.containers.filter(c, %s).size() + (has(object.spec.initContainers) ? object.spec.initContainers.filter(c, has(c.restartPolicy) && c.restartPolicy == 'Always' && %s).size() : 0)" (include "tunegate.twinSigns" $root) (include "tunegate.twinSigns" $root) | quote }}
  - name: switchedOff
    expression: {{ include "tunegate.twinOff" $feature | quote }}
  {{- if (default dict $root.Values.webhook.policy).optInOnly }}
  - name: optedIn
    expression: "(has(object.metadata.labels) && 'tunegate.io/inject' in object.metadata.labels && object.metadata.labels['tunegate.io/inject'] == 'enabled') || (has(namespaceObject.metadata.labels) && 'tunegate.io/inject' in namespaceObject.metadata.labels && namespaceObject.metadata.labels['tunegate.io/inject'] == 'enabled')"
  {{- end }}
  - name: server
    expression: "variables.plain.filter(c, variables.plain.size() == 1 && variables.signs == 1 && !variables.switchedOff{{ if (default dict $root.Values.webhook.policy).optInOnly }} && variables.optedIn{{ end }})"
  - name: argv
    expression: {{ printf "variables.server.map(c, %s).flatten()" (include "tunegate.twinArgv" "c") | quote }}
{{- end }}

{{/* The binding of a policy. Call with (list . NAME). */}}
{{- define "tunegate.twinBinding" -}}
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicyBinding
metadata:
  name: {{ index . 1 | quote }}
  labels: {{- include "tunegate.labels" (list (index . 0) "webhook") | nindent 4 }}
spec:
  policyName: {{ index . 1 | quote }}
{{- end }}
