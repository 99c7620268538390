export default {
  schema: process.env.HEFU + "/graphql",
  documents: process.env.OPERATIONS + "/**/*.graphql",
  generates: {
    "generated/typescript.ts": {
      plugins: ["typescript-operations", "typed-document-node"],
      config: { scalars: { DateTime: "string" }, useTypeImports: true },
    },
    "generated/Hefu.kt": { plugins: ["kotlin"] },
  },
};
