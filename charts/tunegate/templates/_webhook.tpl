{{/* The webhook's settings file. */}}
{{- define "tunegate.webhookConfig" -}}
{{- $name := include "tunegate.webhookName" . -}}
{{- $mutating := list $name (printf "%s-volumes" $name) (printf "%s-nodes" $name) -}}
{{- $certificates := dict "secret" (printf "%s-serving" $name) "service" $name "mutatingConfigurations" $mutating "validatingConfigurations" (list $name) -}}
{{- $own := dict "certificates" $certificates "policy" (dict "file" "/etc/tunegate/policy/policy.yaml") "storage" (dict "configMap" (include "tunegate.storageConfigMap" .)) -}}
{{- with .Values.webhook.hooks.nodes }}{{ if .enabled }}
{{- $pairs := list }}{{ range $key, $value := .selector }}{{ $pairs = append $pairs (printf "%s=%s" $key $value) }}{{ end }}
{{- $_ := set $own "nodes" (dict "selector" (join "," $pairs)) }}
{{- end }}{{ end -}}
{{ mergeOverwrite $own (deepCopy .Values.webhook.config) | toYaml }}
{{- end }}

{{/* What is injected. */}}
{{- define "tunegate.webhookPolicy" -}}
{{ mergeOverwrite (dict "gateTaints" .Values.gate.taints) (deepCopy .Values.webhook.policy) | toYaml }}
{{- end }}

{{/* What every hook has. Call with (list . "/path"). */}}
{{- define "tunegate.webhookCall" -}}
{{- $root := index . 0 -}}
clientConfig:
  service:
    namespace: {{ $root.Release.Namespace }}
    name: {{ include "tunegate.webhookName" $root }}
    path: {{ index . 1 }}
    port: 443
failurePolicy: Ignore
matchPolicy: Equivalent
sideEffects: NoneOnDryRun
timeoutSeconds: {{ $root.Values.webhook.timeoutSeconds }}
admissionReviewVersions: ["v1"]
{{- end }}

{{/* Namespaces that are asked about. Call with (list . "NotIn" (list "disabled" "enabled")). */}}
{{- define "tunegate.webhookNamespaces" -}}
matchExpressions:
  - key: kubernetes.io/metadata.name
    operator: NotIn
    values: ["kube-system", "kube-public", "kube-node-lease", {{ (index . 0).Release.Namespace | quote }}]
  - key: tunegate.io/inject
    operator: {{ index . 1 }}
    values: {{ index . 2 | toJson }}
{{- end }}

{{- define "tunegate.notOptedOut" -}}
matchExpressions:
  - key: tunegate.io/inject
    operator: NotIn
    values: ["disabled"]
{{- end }}

{{- define "tunegate.notAMirrorPod" -}}
name: not-a-mirror-pod
expression: "!has(object.metadata.annotations) || !('kubernetes.io/config.mirror' in object.metadata.annotations)"
{{- end }}

{{- define "tunegate.podRule" -}}
apiGroups: [""]
apiVersions: ["v1"]
resources: ["pods"]
operations: ["CREATE"]
scope: Namespaced
{{- end }}

{{/* CEL: whether a container of this list shows a sign of vLLM or of an accelerator. */}}
{{- define "tunegate.celHint" -}}
{{- $sign := "matches('(?i)vllm|llm-d|kaito|sagemaker-entrypoint')" -}}
{{- $image := printf "(has(c.image) && c.image.%s)" $sign -}}
{{- $command := printf "(has(c.command) && c.command.exists(w, w.%s))" $sign -}}
{{- $args := printf "(has(c.args) && c.args.exists(w, w.%s))" $sign -}}
{{- $env := printf "(has(c.env) && c.env.exists(e, e.name.%s || (has(e.value) && e.value.%s)))" $sign $sign -}}
{{- $limits := "(has(c.resources) && has(c.resources.limits) && c.resources.limits.exists(r, r.contains('/')))" -}}
{{- $hint := join " || " (list $image $command $args $env $limits) -}}
(has(object.spec.{{ . }}) && object.spec.{{ . }}.exists(c, {{ $hint }}))
{{- end }}

{{/* CEL: keeps pods without any sign in the API server. */}}
{{- define "tunegate.celMayServe" -}}
{{- $label := "(has(object.metadata.labels) && 'tunegate.io/inject' in object.metadata.labels && object.metadata.labels['tunegate.io/inject'] == 'enabled')" -}}
has(object.spec.resourceClaims) || {{ $label }} || {{ include "tunegate.celHint" "containers" }} || {{ include "tunegate.celHint" "initContainers" }}
{{- end }}
