# A minion that builds: what `wheelhouse build --farm salt` sends to it, and `salt MINION wheelhouse.build PROJECT`.
{%- from "wheelhouse/map.jinja" import settings, installed with context %}

include:
  - wheelhouse.command

{{ installed("wheelhouse builder", settings.builder.extras) }}

{%- if settings.builder.container_engine %}

wheelhouse container engine:
  pkg.installed:
    - name: {{ settings.builder.container_engine | json }}
    - reload_grains: true
{%- endif %}

{%- if settings.builder.registry_source %}

wheelhouse registry:
  file.recurse:
    - name: {{ settings.registry | json }}
    - source: {{ settings.builder.registry_source | json }}
    - makedirs: true
{%- endif %}
