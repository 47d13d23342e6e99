// The type of a file in deploy/grafana/dashboards: Grafana's own types, closed where those are open.
// The panel type determines the options, queries are for Prometheus, and enum values may be strings,
// as in JSON.
import type * as schema from "@grafana/schema";
import type * as heatmap from "@grafana/schema/dist/esm/raw/composable/heatmap/panelcfg/x/HeatmapPanelCfg_types.gen";
import type * as stat from "@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen";
import type * as states from "@grafana/schema/dist/esm/raw/composable/statetimeline/panelcfg/x/StateTimelinePanelCfg_types.gen";
import type * as table from "@grafana/schema/dist/esm/raw/composable/table/panelcfg/x/TablePanelCfg_types.gen";
import type * as timeseries from "@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen";

type Plain<T> = T extends string
  ? `${T}`
  : T extends number | boolean | null | undefined
    ? T
    : T extends (infer Item)[]
      ? Plain<Item>[]
      : T extends object
        ? { [Key in keyof T]: Plain<T[Key]> }
        : T;

type Source = { type: "prometheus"; uid: "${datasource}" };

interface Query {
  datasource: Source;
  refId: string;
  editorMode: "code";
  expr: string;
  legendFormat: string;
  range: boolean;
  instant: boolean;
  format?: "time_series" | "table" | "heatmap";
}

type Property = { id: string; value: unknown };
type Override = { matcher: { id: "byName"; options: string }; properties: Property[] };

type Shown<Kind extends string, Options, Custom> = Omit<
  schema.Panel,
  "type" | "datasource" | "options" | "fieldConfig" | "targets" | "id" | "gridPos"
> & {
  type: Kind;
  id: number;
  gridPos: schema.GridPos;
  datasource: Source;
  title: string;
  description: string;
  options: Options;
  fieldConfig: {
    defaults: Omit<schema.FieldConfig, "custom"> & { unit: string; custom: Custom };
    overrides: Override[];
  };
  targets: Query[];
};

type AnyPanel =
  | Shown<"timeseries", timeseries.Options, timeseries.FieldConfig>
  | Omit<Shown<"stat", stat.Options, never>, "fieldConfig"> & {
      fieldConfig: { defaults: Omit<schema.FieldConfig, "custom"> & { unit: string }; overrides: Override[] };
    }
  | Shown<"heatmap", heatmap.Options, heatmap.FieldConfig>
  | Shown<"state-timeline", states.Options, states.FieldConfig>
  | Shown<"table", table.Options, table.FieldConfig>
  | (schema.RowPanel & { gridPos: schema.GridPos; title: string });

type Mark = Omit<schema.AnnotationQuery, "target"> & {
  target?: { refId: string; expr: string; interval: string };
  // Fields of Prometheus annotations, which the schema leaves to the data source.
  titleFormat?: string;
  textFormat?: string;
  tagKeys?: string;
  useValueForTime?: boolean;
};

export type AliaportDashboard = Plain<
  Omit<schema.Dashboard, "panels" | "annotations" | "editable"> & {
    uid: string;
    title: string;
    editable: false;
    panels: AnyPanel[];
    annotations: { list: Mark[] };
  }
>;
