# The environment that wheelhouse lives in, for `builder` and `server`, which install it with what each of them needs.
{%- from "wheelhouse/map.jinja" import settings, environment, wheel_file, refused with context %}

{%- if environment == settings.command %}
{{ refused("wheelhouse environment", "pillar wheelhouse:command has to be <an environment>/bin/wheelhouse, and is " ~ settings.command) }}

{%- else %}
  {%- if settings.packages %}
wheelhouse system packages:
  pkg.installed:
    - pkgs: {{ settings.packages | json }}
  {%- endif %}

wheelhouse environment:
  wheelhouse.environment:
    - name: {{ environment | json }}
    - python: {{ settings.python | json }}
    - installer: {{ settings.installer | json }}
  {%- if settings.packages %}
    - require:
      - pkg: wheelhouse system packages
  {%- endif %}
{%- endif %}

{%- if settings.wheel %}

wheelhouse wheel:
  file.managed:
    - name: {{ wheel_file | json }}
    - source: {{ settings.wheel | json }}
    - mode: "0644"
    - makedirs: true
    - require:
      - id: wheelhouse environment
{%- endif %}
